import type { AuditAppender, Claim, UnitScope } from '../audit/append.ts';
import { retryStale } from '../audit/retry.ts';
import { NotFound } from '../http/problem.ts';
import type { Trx } from '../storage/database.ts';
import type { Storage } from '../storage/storage.ts';
import { PolicyConflict } from './conflict.ts';
import { PolicyInvalid } from './errors.ts';
import { type PolicyHead, readHead } from './head.ts';
import {
  type Caller,
  type CompiledPolicy,
  type NewPolicy,
  type PolicyBundle,
  pointHead,
  storeVersion,
} from './head-change.ts';
import type { BoundVersion, PolicyLoader } from './loader.ts';
import type { RevalidationPort, RevalidationState } from './revalidation-port.ts';
import { findVersion } from './store.ts';

/** Characters of a refusal's text that its event keeps. */
const MAX_DETAIL = 1000;
/** When nothing is revalidated. */
const NONE: RevalidationState = { id: null, state: 'done', total: 0, done: 0, invalidated: 0 };

/** Called under the lock before anything is changed; throws when the caller meant another state. */
type Precondition = ((trx: Trx) => Promise<void>) | undefined;

interface HotReload {
  readonly policySet: string;
  readonly bundle: unknown;
  readonly mode: 'enforce' | 'shadow';
  readonly revalidate: boolean;
  readonly expectedHash: string | undefined;
  readonly reason: string | undefined;
  /** Where the request has a number that a double does not hold. */
  readonly unsafeNumber?: { readonly pointer: string; readonly detail: string } | null;
  readonly precondition?: Precondition;
}

interface Rollback {
  readonly version: number;
  readonly revalidate: boolean;
  readonly reason: string | undefined;
  readonly precondition?: Precondition;
}

interface ActivationResult {
  readonly oldHash: string;
  readonly newHash: string;
  readonly revalidated: number;
  readonly revalidation: RevalidationState;
}

/** A claim takes the answer as it is at the activation, when the revalidation only begins. */
export interface ActivationService {
  /** Makes a bundle the active version (or the candidate); a bundle that cannot be used changes nothing (422). */
  hotReload(
    workspaceId: string,
    request: HotReload,
    caller: Caller,
    claim?: Claim<ActivationResult>,
  ): Promise<ActivationResult>;
  /** Makes an earlier version active again. NotFound for one that never was. */
  rollback(
    workspaceId: string,
    request: Rollback,
    caller: Caller,
    claim?: Claim<ActivationResult>,
  ): Promise<ActivationResult>;
}

export interface ActivationOptions {
  readonly storage: Storage;
  readonly audit: AuditAppender;
  readonly loader: PolicyLoader;
  readonly parse: (policySet: string, bundle: unknown) => Promise<PolicyBundle>;
  readonly compile: (bundle: PolicyBundle) => Promise<CompiledPolicy>;
  /** Loads a version that is not stored yet, so that one the engine cannot run is refused before it is active. */
  readonly tryLoad: (hash: string, compiled: CompiledPolicy) => Promise<void>;
  readonly revalidation: RevalidationPort;
  readonly observe: {
    reloaded(): void;
    reloadFailed(): void;
    activated(policySet: string, hash: string): void;
  };
  /** Ms a caller waits for the revalidation before it is answered "running". */
  readonly waitMs: number;
}

/** A version ready to be pointed at: stored and verified, or compiled and to be stored. */
type Candidate = { readonly stored: true; readonly version: BoundVersion } | ({ readonly stored: false } & NewPolicy);

/** The use cases that change which policy a workspace is governed by. */
export function createActivationService(options: ActivationOptions): ActivationService {
  const { storage, audit, loader, observe } = options;

  async function hotReload(
    workspaceId: string,
    request: HotReload,
    caller: Caller,
    claim?: Claim<ActivationResult>,
  ): Promise<ActivationResult> {
    try {
      // A reload that is refused anyway must not cost a compilation; the lock decides again.
      await storage.read(workspaceId, (trx) => requireExpected(trx, workspaceId, request));
      requireSafeNumbers(request);
      const bundle = await options.parse(request.policySet, request.bundle);
      const change = await retryStale(async () =>
        commitReload(workspaceId, await prepare(workspaceId, bundle), request, caller, claim),
      );
      observe.reloaded();
      if (request.mode === 'enforce') observe.activated(request.policySet, change.newHash);
      return await answer(workspaceId, change);
    } catch (error) {
      observe.reloadFailed();
      if (error instanceof PolicyInvalid) await recordRefusal(workspaceId, request.policySet, error, caller);
      throw error;
    }
  }

  async function rollback(
    workspaceId: string,
    request: Rollback,
    caller: Caller,
    claim?: Claim<ActivationResult>,
  ): Promise<ActivationResult> {
    const found = await storage.read(workspaceId, (trx) => findVersion(trx, workspaceId, request.version));
    if (found === undefined) throw new NotFound();
    const version = await loader.verify(workspaceId, found.hash);
    if (version === undefined) throw new NotFound();
    const change = await audit.commit({
      chain: workspaceId,
      claim,
      work: async (scope) => {
        await request.precondition?.(scope.trx);
        const head = await readHead(scope.trx, workspaceId);
        if (head.hash === version.hash) throw new PolicyConflict('CONFLICT', 'this version is active');
        await pointHead(scope, workspaceId, {
          type: 'policy.rolledback',
          head,
          version,
          reason: request.reason,
          caller,
        });
        const begun = { workspaceId, policyHash: version.hash, cause: 'rollback', ...caller } as const;
        const revalidation = request.revalidate ? await options.revalidation.begin(scope, begun) : NONE;
        return { oldHash: head.hash, newHash: version.hash, revalidated: 0, revalidation };
      },
    });
    observe.activated(version.policySet, version.hash);
    return answer(workspaceId, change);
  }

  /** The same content is the same version, whose wasm is kept; anything else is compiled and tried. */
  async function prepare(workspaceId: string, bundle: PolicyBundle): Promise<Candidate> {
    const version = await loader.verify(workspaceId, bundle.hash);
    if (version !== undefined) return { stored: true, version };
    const compiled = await options.compile(bundle);
    await options.tryLoad(bundle.hash, compiled);
    return { stored: false, bundle, compiled };
  }

  function commitReload(
    workspaceId: string,
    candidate: Candidate,
    request: HotReload,
    caller: Caller,
    claim: Claim<ActivationResult> | undefined,
  ): Promise<ActivationResult> {
    return audit.commit({
      chain: workspaceId,
      claim,
      work: async (scope) => {
        const head = await requireExpected(scope.trx, workspaceId, request);
        const newHash = candidate.stored ? candidate.version.hash : candidate.bundle.hash;
        if (!isChange(head, newHash, request.mode)) {
          const revalidation = await beginIfAsked(scope, workspaceId, newHash, request, caller);
          return { oldHash: head.hash, newHash, revalidated: 0, revalidation };
        }
        const version = candidate.stored
          ? candidate.version
          : await storeVersion(scope, workspaceId, candidate, request.reason, caller);
        const type = request.mode === 'shadow' ? 'policy.shadowed' : 'policy.activated';
        await pointHead(scope, workspaceId, { type, head, version, reason: request.reason, caller });
        const revalidation = await beginIfAsked(scope, workspaceId, newHash, request, caller);
        return { oldHash: head.hash, newHash, revalidated: 0, revalidation };
      },
    });
  }

  async function beginIfAsked(
    scope: UnitScope,
    workspaceId: string,
    policyHash: string,
    request: HotReload,
    caller: Caller,
  ): Promise<RevalidationState> {
    if (!request.revalidate || request.mode === 'shadow') return NONE;
    return options.revalidation.begin(scope, { workspaceId, policyHash, cause: 'hotreload', ...caller });
  }

  async function answer(workspaceId: string, change: ActivationResult): Promise<ActivationResult> {
    const { id } = change.revalidation;
    if (id === null) return change;
    const revalidation = await options.revalidation.follow(workspaceId, id, options.waitMs);
    return { ...change, revalidated: revalidation.done, revalidation };
  }

  /** Nothing answered before it is audited: a refusal that cannot be recorded is answered as what kept it from being. */
  async function recordRefusal(
    workspaceId: string,
    policySet: string,
    error: PolicyInvalid,
    { actor, traceId }: Caller,
  ): Promise<void> {
    const payload = { policySet, code: error.code, detail: error.message.slice(0, MAX_DETAIL).toWellFormed() };
    await audit.commit({
      chain: workspaceId,
      work: async ({ append }) => append({ type: 'policy.rejected', actor, payload, traceId }),
    });
  }

  return { hotReload, rollback };
}

/** What was read is not what was sent: it must not be hashed as if it were. */
function requireSafeNumbers({ unsafeNumber }: HotReload): void {
  if (unsafeNumber === undefined || unsafeNumber === null) return;
  const { pointer, detail } = unsafeNumber;
  throw new PolicyInvalid(`${pointer}: ${detail}`, [{ pointer, detail }]);
}

async function requireExpected(trx: Trx, workspaceId: string, request: HotReload): Promise<PolicyHead> {
  await request.precondition?.(trx);
  const head = await readHead(trx, workspaceId);
  if (request.expectedHash === undefined || request.expectedHash === head.hash) return head;
  throw new PolicyConflict('POLICY_HASH_CONFLICT', `the active policy is ${head.hash}`);
}

/** Enforcing what is active ends a trial beside it, and is no change without one. */
function isChange(head: PolicyHead, newHash: string, mode: HotReload['mode']): boolean {
  if (mode === 'shadow') return newHash !== head.hash && newHash !== head.shadow?.hash;
  return newHash !== head.hash || head.shadow !== null;
}
