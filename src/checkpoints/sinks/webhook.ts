import type { Clock } from '../../clock.ts';
import { webhookHeaders } from '../../http/outgoing.ts';
import { parseNote } from '../../transparency/note.ts';
import { CheckpointError } from '../errors.ts';
import { exchange } from './exchange.ts';
import type { Sink } from './sink.ts';

export interface WebhookConfig {
  readonly url: string;
  /** Base64 of the shared secret. */
  readonly secret: string;
}

/**
 * POSTs `{ size, createdAt, signerId, note }`, signed as Standard Webhooks has it: HMAC-SHA256 over id, time and body. The id
 * is the same for the same note, so that a receiver can tell a repetition.
 */
export function webhookSink({ url, secret }: WebhookConfig, clock: Clock): Sink {
  return {
    name: 'webhook',
    deliver: async ({ size, createdAt, signerId, note }, signal) => {
      const body = JSON.stringify({ size, createdAt: createdAt.toISOString(), signerId, note });
      // A note that witnesses have signed since is another message.
      const id = `checkpoint_${size}_${createdAt.getTime()}_${parseNote(note).signatures.length}`;
      const headers = { 'content-type': 'application/json', ...webhookHeaders(secret, id, clock(), body) };
      const { status } = await exchange(url, { method: 'POST', headers, body }, signal);
      if (status < 200 || status > 299) throw new CheckpointError('SINK_FAILED', `the webhook answered ${status}`);
    },
  };
}
