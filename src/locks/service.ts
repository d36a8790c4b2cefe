import type { AuditAppender, Claim } from '../audit/append.ts';
import type { Actor } from '../audit/event.ts';
import { type Clock, timestamp } from '../clock.ts';
import { type CursorScope, DEFAULT_LIMIT, decodeCursor, encodeCursor } from '../http/pagination.ts';
import { NotFound, ValidationFailed } from '../http/problem.ts';
import { normalSerial } from '../identity/serials.ts';
import { isUuid, newId, SYSTEM_CHAIN } from '../ids.ts';
import type { Storage } from '../storage/storage.ts';
import { LockError } from './errors.ts';
import type { LockListView, LockView, PlaceLockRequest, ReleasedLockView } from './schema.ts';
import { deleteLock, findLock, insertLock, type LockRow, listLocks } from './store.ts';

const SCOPE: CursorScope = { route: 'access-locks', workspaceId: '', sort: 'id' };

export interface LockCaller {
  readonly actor: Actor;
  /** Of the certificate that the request came with. */
  readonly serial: string | undefined;
  readonly traceId: string;
}

/** Certificates and principals that are locked out, for every workspace. */
export interface Locks {
  /** Rejects with LockError for the caller itself, or a time that is over. Needs no signer: it stops something. */
  place(request: PlaceLockRequest, caller: LockCaller, claim?: Claim<LockView>): Promise<LockView>;
  /** Throws NotFound. */
  release(lockId: string, reason: string, caller: LockCaller): Promise<ReleasedLockView>;
  /** Throws NotFound. */
  get(lockId: string): Promise<LockView>;
  list(page: { limit?: number; cursor?: string }): Promise<LockListView>;
}

export function createLocks(parts: {
  storage: Storage;
  audit: AuditAppender;
  clock: Clock;
  /** Once a change is stored: every replica finds out by itself, this one now. */
  changed: () => Promise<void>;
}): Locks {
  const { storage, audit, clock, changed } = parts;

  async function place(request: PlaceLockRequest, caller: LockCaller, claim?: Claim<LockView>): Promise<LockView> {
    const subject = subjectOf(request);
    requireAnother(subject, caller);
    const expiresAt = expiryOf(request);
    const { reason } = request;
    const { actor, traceId } = caller;
    const lockId = newId();
    const placed = await audit.commit<LockView>({
      chain: SYSTEM_CHAIN,
      brake: true,
      claim,
      work: async ({ trx, now, append }) => {
        if (expiresAt !== null && expiresAt.getTime() <= now) {
          throw new LockError('UNPROCESSABLE', 'expiresAt is over');
        }
        const payload = { lockId, ...named(subject), ...until(expiresAt), reason };
        const { seq } = append({ type: 'access.lock.placed', actor, payload, traceId });
        const stored = { seq, placed_at: new Date(now), placed_by: actor.id, expires_at: expiresAt };
        const lock = { id: lockId, chain: SYSTEM_CHAIN, ...subject, ...stored };
        await insertLock(trx, lock);
        return view({ ...lock, reason }, now);
      },
    });
    await changed();
    return placed;
  }

  async function release(lockId: string, reason: string, { actor, traceId }: LockCaller): Promise<ReleasedLockView> {
    if (!isUuid(lockId)) throw new NotFound();
    const released = await audit.commit<ReleasedLockView>({
      chain: SYSTEM_CHAIN,
      work: async ({ trx, append }) => {
        if (!(await deleteLock(trx, lockId))) throw new NotFound();
        const auditEvent = append({ type: 'access.lock.released', actor, payload: { lockId, reason }, traceId });
        return { lockId, auditEvent };
      },
    });
    await changed();
    return released;
  }

  async function get(lockId: string): Promise<LockView> {
    const row = isUuid(lockId) ? await storage.read(SYSTEM_CHAIN, (trx) => findLock(trx, lockId)) : undefined;
    if (row === undefined) throw new NotFound();
    return view(row, clock());
  }

  async function list({ limit = DEFAULT_LIMIT, cursor }: { limit?: number; cursor?: string }): Promise<LockListView> {
    const after = cursor === undefined ? undefined : idIn(cursor);
    const rows = await storage.read(SYSTEM_CHAIN, (trx) => listLocks(trx, { after, limit: limit + 1 }));
    const shown = rows.slice(0, limit);
    const last = shown.at(-1);
    return {
      locks: shown.map((row) => view(row, clock())),
      nextCursor: rows.length > limit && last !== undefined ? encodeCursor(SCOPE, [last.id]) : null,
    };
  }

  return { place, release, get, list };
}

type Subject = Pick<LockRow, 'serial' | 'principal_id'>;

function subjectOf({ serial, principalId }: PlaceLockRequest): Subject {
  if ((serial === undefined) === (principalId === undefined)) {
    throw new ValidationFailed([{ pointer: '', detail: 'must have either serial or principalId' }]);
  }
  return { serial: serial === undefined ? null : normalSerial(serial), principal_id: principalId ?? null };
}

/** Nobody is left to release it, and it is a slip of the hand most of the time. */
function requireAnother({ serial, principal_id: principalId }: Subject, caller: LockCaller): void {
  const own = caller.serial !== undefined && normalSerial(caller.serial) === serial;
  if (own || principalId === caller.actor.id) throw new LockError('CONFLICT', 'nobody locks out themselves');
}

function expiryOf({ expiresAt }: PlaceLockRequest): Date | null {
  if (expiresAt === undefined) return null;
  const time = new Date(expiresAt);
  if (!Number.isNaN(time.getTime())) return time;
  throw new ValidationFailed([{ pointer: '/expiresAt', detail: 'cannot be represented' }]);
}

function named({ serial, principal_id: principalId }: Subject) {
  if (serial !== null) return { kind: 'serial', serial };
  return principalId === null ? { kind: 'principal' } : { kind: 'principal', principalId };
}

function until(expiresAt: Date | null): { expiresAt?: string } {
  return expiresAt === null ? {} : { expiresAt: timestamp(expiresAt.getTime()) };
}

function view(row: LockRow, now: number): LockView {
  const { expires_at: expiresAt } = row;
  return {
    lockId: row.id,
    ...(row.serial === null ? {} : { serial: row.serial }),
    ...(row.principal_id === null ? {} : { principalId: row.principal_id }),
    state: expiresAt !== null && expiresAt.getTime() <= now ? 'expired' : 'active',
    placedAt: timestamp(row.placed_at.getTime()),
    placedBy: row.placed_by,
    ...until(expiresAt),
    ...(row.reason === null ? {} : { reason: row.reason }),
    auditEvent: { chain: row.chain, seq: row.seq },
  };
}

function idIn(cursor: string): string {
  const [key] = decodeCursor(SCOPE, cursor);
  if (typeof key === 'string' && isUuid(key)) return key;
  throw new ValidationFailed([{ pointer: '/query/cursor', detail: 'is not a cursor of this list' }]);
}
