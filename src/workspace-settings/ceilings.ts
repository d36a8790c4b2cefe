import type { Storage } from '../storage/storage.ts';
import { isStored } from './settings.ts';
import { listCeilings } from './store.ts';

/** Workspaces whose rate is remembered; what is beyond has the service's general ceiling. */
const MAX_WORKSPACES = 10_000;

/** Requests a second, and how many may come at once. */
interface Ceiling {
  readonly rate: number;
  readonly burst: number;
}

/** What workspaces allow themselves to be sent, as of the last look. */
export interface WorkspaceCeilings {
  of(workspaceId: string): Ceiling | undefined;
  /** Reads all of them. What was known stays in force when that fails. */
  refresh(): Promise<void>;
}

export function createWorkspaceCeilings(storage: Storage): WorkspaceCeilings {
  let known: ReadonlyMap<string, Ceiling> = new Map();

  async function refresh(): Promise<void> {
    const rows = await storage.system((trx) => listCeilings(trx, MAX_WORKSPACES));
    known = new Map(
      rows.flatMap(({ id, settings }) => {
        // One row that somebody damaged must not keep the others from being read; its own keeps the general ceiling.
        const rate = isStored(settings) ? settings.limits?.requestsPerSecond : undefined;
        return rate === undefined ? [] : [[id, { rate, burst: rate }] as const];
      }),
    );
  }

  return { of: (workspaceId) => known.get(workspaceId), refresh };
}
