import { placeOf } from './batch-place.ts';
import type { AuditRow, Head } from './row.ts';

const UTC_TIMESTAMP = /^(\d{4}-\d{2}-\d{2}) (\d{2}:\d{2}:\d{2})(?:\.(\d+))?\+00$/;

/** A row of audit_events as it is selected. */
export interface EventRecord {
  chain: string;
  seq: string;
  id: string;
  event_type: string;
  ts: string;
  actor_id: string;
  actor_kind: string;
  payload: string;
  body: Buffer;
  hash: string;
  prev_hash: string;
  signature: string | null;
  signer_id: string | null;
  sign_mode: string;
  batch_index: number | null;
  batch_size: number | null;
  batch_path: Buffer | null;
}

export function toRow(record: EventRecord): AuditRow {
  return {
    chain: record.chain,
    seq: Number(record.seq),
    id: record.id,
    eventType: record.event_type,
    ts: toRfc3339(record.ts),
    actor: { id: record.actor_id, kind: record.actor_kind },
    payload: record.payload,
    body: record.body,
    hash: record.hash,
    prevHash: record.prev_hash,
    signature: record.signature,
    signerId: record.signer_id,
    signMode: record.sign_mode,
    batch: placeOf(record.batch_index, record.batch_size, record.batch_path),
  };
}

/** A row of audit_heads as it is selected: null where the schema has no such column, '' where the column is null. */
export interface HeadRecord {
  seq: string;
  hash: string;
  tree: Buffer | null;
  deferred_from: string | null;
  sign_mode: string | null;
}

export function toHead({ seq, hash, tree, deferred_from: from, sign_mode: mode }: HeadRecord): Head {
  const deferredFrom = from === null ? undefined : from === '' ? null : Number(from);
  return { seq: Number(seq), hash, tree, deferredFrom, signMode: mode ?? undefined };
}

/** PostgreSQL's spelling (which may be `infinity`) as the body's; digits past ms are kept, so that they are seen. */
function toRfc3339(text: string): string {
  const [, date, time, fraction = ''] = UTC_TIMESTAMP.exec(text) ?? [];
  return date === undefined ? text : `${date}T${time}.${fraction.padEnd(3, '0')}Z`;
}
