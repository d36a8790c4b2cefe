import { type StreamedEvent, textOf } from './streamed-event.ts';

/** What a chain's name follows in `source` unless another prefix is chosen. */
export const DEFAULT_SOURCE = 'urn:castellan:';

const TRACE_ID = /^(?!0{32})[0-9a-f]{32}$/;
const NO_SPAN = '0'.repeat(16);

/** The event in the JSON format of CloudEvents 1.0; `data` leads back to the log. */
export function toCloudEvent(event: StreamedEvent, source: string): Record<string, unknown> {
  const { chain, seq, hash, signerId, signMode, actor, payload, traceId } = event;
  const subject = textOf(event, 'agentId');
  const traceparent = traceparentOf(event);
  return {
    specversion: '1.0',
    id: event.id,
    source: `${source}${chain}`,
    type: `dev.castellan.${event.eventType}`,
    time: event.ts,
    ...(subject === undefined || subject === '' ? {} : { subject }),
    ...(traceparent === undefined ? {} : { traceparent }),
    datacontenttype: 'application/json',
    data: { chain, seq, hash, signerId, signMode, actor, payload, ...(traceId === undefined ? {} : { traceId }) },
  };
}

/**
 * The log keeps the trace id and no span: the parent here is made of the event's hash, so that it is the same each time, and
 * marked as not sampled.
 */
function traceparentOf({ traceId, hash }: StreamedEvent): string | undefined {
  const parent = hash.slice(0, NO_SPAN.length);
  if (traceId === undefined || !TRACE_ID.test(traceId) || parent === NO_SPAN) return undefined;
  return `00-${traceId}-${parent}-00`;
}
