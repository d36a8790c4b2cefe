import { canonicalBytes } from '../crypto/canonical-json.ts';
import { sha256, sha256Hex } from '../crypto/digest.ts';
import { pae } from '../crypto/dsse.ts';
import type { EventPayload, EventType } from './event-types.ts';
import { commit, type PersonalValue } from './personal.ts';

export const GENESIS_HASH = '0'.repeat(64);
/** Bytes; PostgreSQL and the verifier hold the same bound. */
export const MAX_BODY = 65_535;
const EVENT_PAYLOAD_TYPE = 'application/vnd.castellan.audit-event.v1';

/** Who did it: an opaque id and its kind. `system` is Castellan itself (jobs, observed facts); `unknown` had no identity. */
export interface Actor {
  readonly id: string;
  readonly kind: 'human' | 'service' | 'agent' | 'system' | 'unknown';
}

export interface EventInput<T extends EventType = EventType> {
  readonly type: T;
  readonly actor: Actor;
  readonly payload: EventPayload<T>;
  readonly traceId?: string | undefined;
}

export interface Position {
  readonly chain: string;
  readonly seq: number;
  readonly prevHash: string;
}

/** An event with its place in the chain and its hash, not yet signed. */
export interface SealedEvent extends Position {
  readonly id: string;
  readonly eventType: EventType;
  readonly ts: string;
  readonly actor: Actor;
  /** As the body has it: commitments in the place of what people wrote. */
  readonly payload: unknown;
  /** What those stand for. */
  readonly personal: readonly PersonalValue[];
  readonly signerId: string | null;
  readonly body: Buffer;
  readonly hash: string;
}

/** Where an event stands, as answers and ledger rows name it. */
export interface EventReceipt {
  readonly chain: string;
  readonly seq: number;
  readonly hash: string;
}

/** The exact RFC 8785 body of an event at a position, and its SHA-256. A body over 65,535 bytes throws. */
export function sealEvent(
  event: EventInput,
  at: Position,
  stamp: { id: string; ts: string; signerId: string | null },
): SealedEvent {
  const { payload, personal } = commit(event.type, event.payload);
  const body = canonicalBytes({
    v: 1,
    chain: at.chain,
    seq: at.seq,
    id: stamp.id,
    eventType: event.type,
    ts: stamp.ts,
    actor: { id: event.actor.id, kind: event.actor.kind },
    payload,
    prevHash: at.prevHash,
    signerId: stamp.signerId,
    ...(event.traceId === undefined ? {} : { traceId: event.traceId }),
  });
  if (body.length > MAX_BODY) {
    throw new RangeError(`audit event ${event.type} has ${body.length} bytes, more than ${MAX_BODY}`);
  }
  return {
    ...at,
    id: stamp.id,
    eventType: event.type,
    ts: stamp.ts,
    actor: event.actor,
    payload,
    personal,
    signerId: stamp.signerId,
    body,
    hash: sha256Hex(body),
  };
}

/** The bytes a signer signs for an event: DSSE PAE over the raw 32 hash bytes, so no other message has the same form. */
export function signedBytes(event: Pick<SealedEvent, 'body'>): Buffer {
  return pae(EVENT_PAYLOAD_TYPE, sha256(event.body));
}
