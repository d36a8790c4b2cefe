import type { Answer } from '../idempotency/answer.ts';
import { fromStored } from './results.ts';
import type { RunListView, RunView } from './schema.ts';
import type { RunRow, RunSummary } from './store.ts';

/** A run as far as it has come. A damaged row shows no results: its event still tells the digest of what they were. */
export function runView(row: RunRow): RunView {
  const kept = fromStored(row.results, row.results_digest);
  const connections = kept?.connections ?? [];
  return {
    ...summaryOf(row),
    results: [...(kept?.commands ?? [])],
    ...(connections.length === 0 ? {} : { connections: [...connections] }),
  };
}

export function summaryOf(row: RunSummary): RunListView['runs'][number] {
  return {
    run_id: row.id,
    agent_id: row.agent_id,
    status: row.status,
    created_at: row.created_at.toISOString(),
    created_by: row.created_by,
    ...(row.started_at === null ? {} : { started_at: row.started_at.toISOString() }),
    ...(row.ended_at === null ? {} : { ended_at: row.ended_at.toISOString() }),
    ...(row.cause === null ? {} : { cause: row.cause }),
    limits: row.limits,
    isolation: row.isolation,
  };
}

/** 202 with where the run is found. */
export function accepted({ agentId, runId }: { readonly agentId: string; readonly runId: string }): Answer<{
  run_id: string;
  status: 'queued';
}> {
  const location = `/api/v1/agent/${agentId}/sandbox/runs/${runId}`;
  return { status: 202, headers: { location }, body: { run_id: runId, status: 'queued' } };
}

/** What the last event of the output says. */
export function endData(row: RunSummary): string {
  const { run_id, status, cause } = summaryOf(row);
  return JSON.stringify({ run_id, status, ...(cause === undefined ? {} : { cause }) });
}
