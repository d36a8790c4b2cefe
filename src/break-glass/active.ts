import type { Storage } from '../storage/storage.ts';
import { type ElevationRow, listOpen } from './store.ts';

/** Elevations kept in mind; those beyond are not in force here, which takes more than a stolen certificate. */
const MAX_ELEVATIONS = 10_000;

export interface ActiveElevation {
  readonly id: string;
  readonly workspaceId: string;
  readonly principalId: string;
  /** Ms since the epoch; from then on it is over, whoever has not heard of it. */
  readonly expiresAt: number;
}

/**
 * The elevations that this replica knows of. It only says who might pass: the unit that records the use reads the row
 * again under the lock of its chain, so one that was ended elsewhere lets nobody in.
 */
export interface ActiveElevations {
  find(principalId: string, workspaceId: string, now: number): ActiveElevation | undefined;
  count(now: number): number;
  /** One that was granted or ended here counts at once. */
  add(row: ElevationRow): void;
  remove(id: string): void;
  /** Reads all of them; gives those whose time is over and that nobody has ended yet. */
  refresh(now: number): Promise<readonly ActiveElevation[]>;
}

export function createActiveElevations(storage: Pick<Storage, 'system'>): ActiveElevations {
  let known = new Map<string, ActiveElevation>();
  /** Changes made here, which a look that began before them must not undo. */
  let changes = 0;

  function find(principalId: string, workspaceId: string, now: number): ActiveElevation | undefined {
    const one = known.get(keyOf(principalId, workspaceId));
    return one !== undefined && now < one.expiresAt ? one : undefined;
  }

  function count(now: number): number {
    return [...known.values()].filter(({ expiresAt }) => now < expiresAt).length;
  }

  function add(row: ElevationRow): void {
    changes += 1;
    const one = elevationOf(row);
    known.set(keyOf(one.principalId, one.workspaceId), one);
  }

  function remove(id: string): void {
    changes += 1;
    for (const [key, one] of known) if (one.id === id) known.delete(key);
  }

  async function refresh(now: number): Promise<readonly ActiveElevation[]> {
    const before = changes;
    const rows = await storage.system((trx) => listOpen(trx, MAX_ELEVATIONS));
    const open = rows.map(elevationOf);
    // Overtaken: the next look finds what was done meanwhile.
    if (before === changes) {
      known = new Map(open.map((one) => [keyOf(one.principalId, one.workspaceId), one]));
    }
    return open.filter(({ expiresAt }) => expiresAt <= now);
  }

  return { find, count, add, remove, refresh };
}

function elevationOf(row: ElevationRow): ActiveElevation {
  const { id, workspace_id: workspaceId, principal_id: principalId, expires_at: expiresAt } = row;
  return { id, workspaceId, principalId, expiresAt: Number(expiresAt) };
}

/** No workspace id has a blank in it. */
function keyOf(principalId: string, workspaceId: string): string {
  return `${workspaceId} ${principalId}`;
}
