import type { Clock } from '../clock.ts';
import { sha256Digest } from '../crypto/digest.ts';
import { AccessDenied, type ForwardedByStranger, Unauthenticated, WorkspaceSuspended } from '../identity/errors.ts';
import type { PrincipalKind } from '../identity/principal.ts';
import { SYSTEM_CHAIN } from '../ids.ts';
import type { AuditAppender } from './append.ts';
import { AuditError } from './errors.ts';
import type { EventInput } from './event.ts';

/** Per principal, route and minute: what comes after is counted (contract §3). */
const SINGLE_EVENTS = 10;
const WINDOW_MS = 60_000;
/** Denials that may be signed one by one per second, whoever they are of: 5 % of what one local signer does at least. */
const SINGLE_RATE = 50;
/** Principals and routes counted apart; the rest share one line, so that strangers cannot fill the memory. */
const MAX_WINDOWS = 10_000;

export interface DeniedCaller {
  readonly id: string;
  readonly kind: PrincipalKind | 'unknown';
}

/** What is in the audit before it is answered. */
export type Refusal = AccessDenied | Unauthenticated | ForwardedByStranger | WorkspaceSuspended;

export interface Denied {
  readonly error: Refusal;
  readonly caller: DeniedCaller;
  readonly method: string;
  readonly route: string;
  readonly permission?: string | undefined;
  readonly traceId: string;
}

interface Window {
  readonly since: number;
  readonly chain: string;
  readonly event: EventInput<'access.denied'>;
  /** Of the workspace that all of them asked for; undefined once it was more than one, or none. */
  workspaceDigest: string | undefined;
  seen: number;
  /** Refusals not yet written. */
  held: number;
  /** False once the chain was found not to exist: the answer is then the one 404, also for those only counted. */
  exists: boolean;
}

export interface AccessRecorder {
  /** Resolves once the refusal is in the audit, alone or in a count. False: its chain does not exist. */
  record(denied: Denied): Promise<boolean>;
  /** Writes the counts of windows that are over; with `all`, every count. */
  flush(all?: boolean): Promise<void>;
}

/** Turns refused access into `access.denied` events, one each at first, then one count per window. */
export function createAccessRecorder(options: { audit: AuditAppender; clock: Clock }): AccessRecorder {
  const { audit, clock } = options;
  const windows = new Map<string, Window>();
  let second = 0;
  let singles = 0;

  async function record(denied: Denied): Promise<boolean> {
    const now = clock();
    const { chain, event } = toEvent(denied);
    const window = windowOf(denied, chain, event, now);
    window.seen += 1;
    if (window.seen > SINGLE_EVENTS || !takeSingle(now)) {
      window.held += 1;
      return window.exists;
    }
    window.exists = await write(chain, event);
    return window.exists;
  }

  function windowOf(denied: Denied, chain: string, event: EventInput<'access.denied'>, now: number): Window {
    // What is counted together must be true of each: a count names one code and one reason.
    const { code, reason } = event.payload;
    const own = `${chain} ${denied.caller.id} ${denied.method} ${denied.route} ${code} ${reason}`;
    // Past the bound a chain shares one line, and chains beyond it the last one's.
    const shared = windows.size < MAX_WINDOWS * 2 ? `${chain} *` : '*';
    const key = windows.size < MAX_WINDOWS || windows.has(own) ? own : shared;
    const known = windows.get(key);
    const { workspaceDigest } = event.payload;
    if (known !== undefined && known.workspaceDigest !== workspaceDigest) known.workspaceDigest = undefined;
    if (known !== undefined && now - known.since < WINDOW_MS) return known;
    const { held = 0, exists = true } = known ?? {};
    const digest = held > 0 ? known?.workspaceDigest : workspaceDigest;
    const fresh: Window = { since: now, chain, event, workspaceDigest: digest, seen: 0, held, exists };
    windows.set(key, fresh);
    return fresh;
  }

  function takeSingle(now: number): boolean {
    const current = Math.floor(now / 1000);
    if (current !== second) {
      second = current;
      singles = 0;
    }
    singles += 1;
    return singles <= SINGLE_RATE;
  }

  async function flush(all = false): Promise<void> {
    const now = clock();
    for (const [key, window] of windows) {
      if (!all && now - window.since < WINDOW_MS) continue;
      const { held } = window;
      if (held > 0) {
        const counted = { ...window.event, payload: countedPayload(window) };
        await write(window.chain, counted);
        // What was refused meanwhile is for the next round.
        window.held -= held;
      }
      if (window.held === 0 && windows.get(key) === window) windows.delete(key);
    }
  }

  async function write(chain: string, event: EventInput<'access.denied'>): Promise<boolean> {
    try {
      await audit.commit({ chain, brake: true, work: async ({ append }) => append(event) });
      return true;
    } catch (error) {
      if (chain === SYSTEM_CHAIN || !(error instanceof AuditError) || error.code !== 'NOT_FOUND') throw error;
      await write(SYSTEM_CHAIN, event);
      return false;
    }
  }

  return { record, flush };
}

function countedPayload({ event, workspaceDigest, held }: Window): EventInput<'access.denied'>['payload'] {
  const { workspaceDigest: _first, ...payload } = event.payload;
  return { ...payload, ...(workspaceDigest === undefined ? {} : { workspaceDigest }), count: held };
}

function toEvent(denied: Denied): { chain: string; event: EventInput<'access.denied'> } {
  const { error, caller, method, route, permission, traceId } = denied;
  const access = error instanceof AccessDenied ? error.access : undefined;
  const workspaceId = access?.chain === SYSTEM_CHAIN ? access.workspaceId : undefined;
  return {
    chain: error instanceof WorkspaceSuspended ? error.workspaceId : (access?.chain ?? SYSTEM_CHAIN),
    event: {
      type: 'access.denied',
      actor: { id: caller.id, kind: caller.kind },
      payload: {
        code: error.code,
        route: `${method} ${route}`,
        ...(permission === undefined ? {} : { permission }),
        // A digest: the name of another tenant is not for the readers of this chain.
        ...(workspaceId === undefined ? {} : { workspaceDigest: sha256Digest(workspaceId) }),
        reason: reasonOf(error),
        count: 1,
      },
      traceId,
    },
  };
}

function reasonOf(error: Refusal): string {
  if (error instanceof AccessDenied) return error.access.reason;
  if (error instanceof WorkspaceSuspended) return 'SUSPENDED';
  return error instanceof Unauthenticated ? error.reason : 'FORWARDED_BY_STRANGER';
}
