import { type Selectable, sql } from 'kysely';

import type { Trx } from '../storage/database.ts';
import type { DecisionsTable } from './table.ts';

export type DecisionRow = Selectable<DecisionsTable>;

export interface DecisionFilter {
  readonly agentId?: string | undefined;
  readonly effect?: DecisionsTable['effect'] | undefined;
  readonly tier?: number | undefined;
  readonly code?: string | undefined;
  readonly from?: Date | undefined;
  readonly to?: Date | undefined;
}

export async function findDecision(trx: Trx, workspaceId: string, id: string): Promise<DecisionRow | undefined> {
  return trx
    .selectFrom('decisions')
    .selectAll()
    .where('workspace_id', '=', workspaceId)
    .where('id', '=', id)
    .executeTakeFirst();
}

/** Decisions after `after` by id, that is by time. A span of time is also one of ids, which picks the partitions. */
export async function listDecisions(
  trx: Trx,
  workspaceId: string,
  filter: DecisionFilter,
  page: { readonly after: string | undefined; readonly limit: number },
): Promise<DecisionRow[]> {
  let query = trx.selectFrom('decisions').selectAll().where('workspace_id', '=', workspaceId);
  if (page.after !== undefined) query = query.where('id', '>', page.after);
  if (filter.agentId !== undefined) query = query.where('agent_id', '=', filter.agentId);
  if (filter.effect !== undefined) query = query.where('effect', '=', filter.effect);
  if (filter.tier !== undefined) query = query.where('tier', '=', filter.tier);
  if (filter.code !== undefined) query = query.where(sql<boolean>`codes @> ARRAY[${filter.code}]::text[]`);
  if (filter.from !== undefined) {
    query = query
      .where('created_at', '>=', filter.from)
      .where('id', '>=', firstIdAt(filter.from.getTime() - ID_SLACK_MS));
  }
  if (filter.to !== undefined) {
    query = query.where('created_at', '<', filter.to).where('id', '<', firstIdAt(filter.to.getTime() + ID_SLACK_MS));
  }
  return query.orderBy('id').limit(page.limit).execute();
}

/** An id is made a moment before or after the time of its row, by the clock of the same replica. */
const ID_SLACK_MS = 60_000;

/** The smallest UUIDv7 of an instant (RFC 9562 §5.7: the first 48 bits are milliseconds). */
function firstIdAt(epochMs: number): string {
  const hex = Math.min(Math.max(0, epochMs), 2 ** 48 - 1)
    .toString(16)
    .padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-0000-0000-000000000000`;
}
