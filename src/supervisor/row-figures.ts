import { type Claim, keyOf, type ReadyReport } from './claim.ts';

/** What the rows of claimed agents say, as far as it is known here: only what differs is reported. */
export interface RowFigures {
  are(claims: readonly Claim[]): void;
  /** What there is to report of an agent, if anything. */
  differing(claim: Claim, ready: number): ReadyReport[];
  /** The row has these figures now. */
  reported(report: ReadyReport): void;
}

export function createRowFigures(): RowFigures {
  const rows = new Map<string, Claim>();

  return {
    are: (claims) => {
      rows.clear();
      for (const claim of claims) rows.set(keyOf(claim), claim);
    },
    differing: (claim, ready) => {
      const row = rows.get(keyOf(claim));
      if (row === undefined || mayGo(row)) return [];
      return ready === row.readyReplicas && !begins(row, ready) ? [] : [{ ...row, readyReplicas: ready }];
    },
    reported: (report) => {
      const key = keyOf(report);
      const row = rows.get(key);
      // Something else is wanted of it by now, and its row was read since.
      if (row === undefined || row.generation !== report.generation) return;
      const { readyReplicas } = report;
      rows.set(key, { ...row, readyReplicas, status: begins(row, readyReplicas) ? 'running' : row.status });
    },
  };
}

function begins({ status, desiredReplicas }: Claim, ready: number): boolean {
  return status === 'starting' && ready >= desiredReplicas && ready > 0;
}

/** Nobody wants a process of the agent, whether or not it must end at once. */
export function mayGo({ status }: Claim): boolean {
  return status !== 'starting' && status !== 'running';
}
