import { sha256Hex } from '../../crypto/digest.ts';
import type { LogRow } from './log-reader.ts';

/** An event as its body says it, with the hash of that body: what a receiver finds again in the log. */
export interface StreamedEvent {
  readonly chain: string;
  readonly seq: number;
  readonly id: string;
  readonly eventType: string;
  readonly ts: string;
  readonly actor: { readonly id: string; readonly kind: string };
  readonly payload: Readonly<Record<string, unknown>>;
  readonly prevHash: string;
  readonly signerId: string | null;
  readonly traceId: string | undefined;
  readonly signMode: string;
  readonly hash: string;
}

/** The event of a row; undefined where the body is none of version 1, or of another place in the log. */
export function streamedEvent(chain: string, row: LogRow): StreamedEvent | undefined {
  const body = parsed(row.body);
  if (body?.['v'] !== 1 || body['chain'] !== chain || body['seq'] !== row.seq) return undefined;
  const { id, eventType, ts, prevHash, signerId, traceId } = body;
  const [actor, payload] = [asRecord(body['actor']), asRecord(body['payload'])];
  const { id: actorId, kind } = actor ?? {};
  if (typeof id !== 'string' || typeof eventType !== 'string' || typeof ts !== 'string') return undefined;
  if (typeof prevHash !== 'string' || typeof actorId !== 'string' || typeof kind !== 'string') return undefined;
  if (payload === undefined || Number.isNaN(Date.parse(ts))) return undefined;
  return {
    chain,
    seq: row.seq,
    id,
    eventType,
    ts,
    actor: { id: actorId, kind },
    payload,
    prevHash,
    signerId: typeof signerId === 'string' ? signerId : null,
    traceId: typeof traceId === 'string' ? traceId : undefined,
    signMode: row.signMode,
    hash: sha256Hex(row.body),
  };
}

/** A member of the payload that is text, such as the id of what the event is about. */
export function textOf(event: StreamedEvent, member: string): string | undefined {
  const value = event.payload[member];
  return typeof value === 'string' ? value : undefined;
}

function parsed(body: Buffer): Record<string, unknown> | undefined {
  try {
    return asRecord(JSON.parse(body.toString('utf8')));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function asRecord(value: unknown): Record<string, unknown> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined;
}
