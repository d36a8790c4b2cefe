import type { Static } from '@sinclair/typebox';
import { sql } from 'kysely';

import { type CursorScope, DEFAULT_LIMIT, decodeCursor, encodeCursor } from '../http/pagination.ts';
import { ValidationFailed } from '../http/problem.ts';
import { queryTime } from '../http/query-time.ts';
import type { Trx } from '../storage/database.ts';
import type { AuditEventSchema, EventPage, ListEventsQuery } from './schema.ts';
import type { AuditEventsTable } from './table.ts';
import { placeForm, placeOf } from './verify/batch-place.ts';

type Query = Static<typeof ListEventsQuery>;

/** What people wrote in an event, where it is not erased. */
const PERSONAL = sql<Record<string, string> | null>`(
  SELECT jsonb_object_agg(p.member, p.value) FROM audit_personal p
  WHERE p.chain = audit_events.chain AND p.seq = audit_events.seq)`;

/** One page of a chain by seq ascending. Keyset: the cost does not grow with the position. */
export async function listEvents(trx: Trx, chain: string, query: Query): Promise<Static<typeof EventPage>> {
  const { after, cursor, limit = DEFAULT_LIMIT, ...filters } = query;
  const scope: CursorScope = { route: 'audit.events', workspaceId: chain, sort: 'seq', filters };
  const position = cursor === undefined ? (after ?? 0) : positionOf(scope, cursor);
  const from = queryTime('from', query.from);
  const to = queryTime('to', query.to);

  let select = trx
    .selectFrom('audit_events')
    .selectAll()
    .select(PERSONAL.as('personal'))
    .where('chain', '=', chain)
    .where('seq', '>', position);
  if (query.type !== undefined) select = select.where('event_type', '=', query.type);
  if (query.actor !== undefined) select = select.where('actor_id', '=', query.actor);
  if (from !== undefined) select = select.where('ts', '>=', from);
  if (to !== undefined) select = select.where('ts', '<', to);
  const rows = await select
    .orderBy('seq')
    .limit(limit + 1)
    .execute();

  const events = rows.slice(0, limit).map(
    (row): Static<typeof AuditEventSchema> => ({
      id: row.id,
      chain: row.chain,
      seq: row.seq,
      eventType: row.event_type,
      ts: row.ts.toISOString(),
      actor: { id: row.actor_id, kind: row.actor_kind },
      payload: row.payload,
      ...(row.personal === null ? {} : { personal: row.personal }),
      prevHash: row.prev_hash,
      hash: row.hash,
      signature: row.signature,
      signerId: row.signer_id,
      signMode: row.sign_mode,
      ...batchOf(row),
      body: row.body.toString('base64'),
    }),
  );
  const last = events.at(-1);
  const more = rows.length > limit && last !== undefined;
  return {
    events,
    nextCursor: more ? encodeCursor(scope, [last.seq]) : null,
    prunedTo: await prunedTo(trx, chain),
  };
}

async function prunedTo(trx: Trx, chain: string): Promise<number | null> {
  const pruning = await trx
    .selectFrom('audit_prunings')
    .select('to_seq')
    .where('chain', '=', chain)
    .orderBy('to_seq', 'desc')
    .limit(1)
    .executeTakeFirst();
  return pruning?.to_seq ?? null;
}

function batchOf(row: Pick<AuditEventsTable, 'batch_index' | 'batch_size' | 'batch_path'>) {
  const place = placeOf(row.batch_index, row.batch_size, row.batch_path);
  return place === undefined ? {} : { batch: placeForm(place) };
}

function positionOf(scope: CursorScope, cursor: string): number {
  const [seq] = decodeCursor(scope, cursor);
  if (typeof seq !== 'number' || !Number.isSafeInteger(seq) || seq < 0) {
    throw new ValidationFailed([{ pointer: '/query/cursor', detail: 'is not a cursor of this list' }]);
  }
  return seq;
}
