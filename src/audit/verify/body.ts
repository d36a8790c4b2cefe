import { parseCanonical } from './canonical.ts';
import { MAX_BODY_BYTES } from './row.ts';

const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/;
const HASH = /^[0-9a-f]{64}$/;
const REQUIRED = ['v', 'chain', 'seq', 'id', 'eventType', 'ts', 'actor', 'payload', 'prevHash', 'signerId'];

/** What an event says of itself: the authority over every column of its row. */
export interface EventBody {
  readonly chain: string;
  readonly seq: number;
  readonly id: string;
  readonly eventType: string;
  readonly ts: string;
  readonly tsMs: number;
  readonly actor: { readonly id: string; readonly kind: string };
  readonly payload: Readonly<Record<string, unknown>>;
  readonly prevHash: string;
  readonly signerId: string | null;
}

/** The event in `bytes`, or why these bytes are no canonical version 1 event. */
export function parseBody(bytes: Uint8Array): EventBody | string {
  if (bytes.length > MAX_BODY_BYTES) return `the body is longer than ${MAX_BODY_BYTES} bytes`;
  const parsed = parseCanonical(bytes);
  if (parsed === undefined) return 'the body is not canonical JSON (RFC 8785)';
  const event = parsed.value;
  if (!isRecord(event)) return 'the body is no object';
  const size = REQUIRED.length + (Object.hasOwn(event, 'traceId') ? 1 : 0);
  if (Object.keys(event).length !== size || !REQUIRED.every((name) => Object.hasOwn(event, name))) {
    return 'the body does not have the members of a version 1 event';
  }
  const { v, chain, seq, id, eventType, ts, actor, payload, prevHash, signerId, traceId } = event;
  if (v !== 1) return 'the body is not of version 1';
  if (typeof chain !== 'string' || typeof id !== 'string' || typeof eventType !== 'string') return wrong('name');
  if (typeof seq !== 'number' || !Number.isSafeInteger(seq) || seq < 1) return wrong('seq');
  if (typeof ts !== 'string' || !TIME.test(ts)) return wrong('ts');
  const tsMs = Date.parse(ts);
  if (Number.isNaN(tsMs) || new Date(tsMs).toISOString() !== ts) return wrong('ts');
  if (!isActor(actor)) return wrong('actor');
  if (!isRecord(payload)) return wrong('payload');
  if (typeof prevHash !== 'string' || !HASH.test(prevHash)) return wrong('prevHash');
  if (signerId !== null && typeof signerId !== 'string') return wrong('signerId');
  if (traceId !== undefined && typeof traceId !== 'string') return wrong('traceId');
  return { chain, seq, id, eventType, ts, tsMs, actor, payload, prevHash, signerId };
}

function wrong(member: string): string {
  return `the body's ${member} is not that of a version 1 event`;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isActor(value: unknown): value is { id: string; kind: string } {
  return (
    isRecord(value) &&
    Object.keys(value).length === 2 &&
    typeof value['id'] === 'string' &&
    typeof value['kind'] === 'string'
  );
}
