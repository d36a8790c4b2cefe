import { Value } from '@sinclair/typebox/value';

import { EVENT_TYPES, type EventType } from '../../../src/audit/event-types.ts';
import { type StreamedEvent, streamedEvent } from '../../../src/audit/stream/streamed-event.ts';
import { canonicalBytes } from '../../../src/crypto/canonical-json.ts';

export const TYPES = Object.keys(EVENT_TYPES).filter((name): name is EventType => Object.hasOwn(EVENT_TYPES, name));
export const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';

/** An event of a type whose payload holds every member, its text members named for themselves. */
export function sample(eventType: string, change: Record<string, unknown> = {}): StreamedEvent {
  const members = {
    v: 1,
    chain: 'demo',
    seq: 7,
    id: '01934c3e-6c00-7000-8000-000000000001',
    eventType,
    ts: '2026-11-21T09:00:00.123Z',
    actor: { id: 'p-7f3a', kind: 'human' },
    payload: TYPES.some((type) => type === eventType) ? payloadOf(eventType) : { novel: true },
    prevHash: 'ab'.repeat(32),
    signerId: 'audit-1',
    traceId: TRACE_ID,
    ...change,
  };
  const body = canonicalBytes(Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)));
  const event = streamedEvent('demo', { seq: 7, body, signMode: 'event' });
  if (event === undefined) throw new Error(`no event: ${body.toString()}`);
  return event;
}

function payloadOf(eventType: string): Record<string, unknown> {
  const [, schema] = Object.entries(EVENT_TYPES).find(([name]) => name === eventType) ?? [];
  if (schema === undefined) throw new Error(`no type ${eventType}`);
  return Object.fromEntries(
    Object.entries(schema.properties).map(([name, member]) => {
      const value: unknown = Value.Create(member);
      return [name, value === '' || value === null ? `the ${name}` : value];
    }),
  );
}
