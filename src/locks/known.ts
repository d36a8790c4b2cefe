import type { Clock } from '../clock.ts';
import type { Storage } from '../storage/storage.ts';
import { everyLock, lockRevision } from './store.ts';

/** The locks as this replica knows them: what is asked on every request is in memory. */
export interface KnownLocks {
  /** `serial` as `normalSerial` spells it. */
  isSerialLocked(serial: string): boolean;
  isPrincipalLocked(principalId: string): boolean;
  /** Reads them when they have changed; true when they had. Where that fails the last known ones stay in force. */
  refresh(): Promise<boolean>;
  /** How many are known, expired ones among them. */
  readonly size: number;
}

/** Until when something is locked, in ms since the epoch. */
type Until = Map<string, number>;

interface Known {
  readonly revision: number;
  readonly size: number;
  readonly serials: Until;
  readonly principals: Until;
}

const NOTHING: Known = { revision: -1, size: 0, serials: new Map(), principals: new Map() };

export function createKnownLocks({ storage, clock }: { storage: Storage; clock: Clock }): KnownLocks {
  let known = NOTHING;
  let reading: Promise<unknown> = Promise.resolve();

  // One after the other: a slower reader that began earlier would bring back what was before.
  function refresh(): Promise<boolean> {
    const read = reading.then(readIfChanged);
    reading = read.catch(() => undefined);
    return read;
  }

  // Of its own login, whose connections no flood of requests uses up.
  async function readIfChanged(): Promise<boolean> {
    const present = await storage.system(async (trx) => {
      const revision = await lockRevision(trx);
      return revision === known.revision ? undefined : { revision, locks: await everyLock(trx) };
    });
    // Any other one, for a database that was restored is at an earlier one.
    if (present === undefined) return false;
    known = { revision: present.revision, size: present.locks.length, ...indexed(present.locks) };
    return true;
  }

  function isIn(locked: Until, name: string): boolean {
    const until = locked.get(name);
    return until !== undefined && clock() < until;
  }

  return {
    isSerialLocked: (serial) => isIn(known.serials, serial),
    isPrincipalLocked: (principalId) => isIn(known.principals, principalId),
    refresh,
    get size() {
      return known.size;
    },
  };
}

function indexed(locks: Awaited<ReturnType<typeof everyLock>>): Pick<Known, 'serials' | 'principals'> {
  const serials: Until = new Map();
  const principals: Until = new Map();
  for (const { serial, principal_id: principalId, expires_at: expiresAt } of locks) {
    const until = expiresAt?.getTime() ?? Number.POSITIVE_INFINITY;
    if (serial !== null) lengthen(serials, serial, until);
    if (principalId !== null) lengthen(principals, principalId, until);
  }
  return { serials, principals };
}

/** Of several locks on one thing the longest counts. */
function lengthen(locked: Until, name: string, until: number): void {
  locked.set(name, Math.max(until, locked.get(name) ?? until));
}
