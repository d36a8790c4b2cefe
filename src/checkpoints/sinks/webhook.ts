import { createHmac } from 'node:crypto';

import type { Clock } from '../../clock.ts';
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
  const key = Buffer.from(secret, 'base64');
  return {
    name: 'webhook',
    deliver: async ({ size, createdAt, signerId, note }, signal) => {
      const body = JSON.stringify({ size, createdAt: createdAt.toISOString(), signerId, note });
      // A note that witnesses have signed since is another message.
      const id = `checkpoint_${size}_${createdAt.getTime()}_${parseNote(note).signatures.length}`;
      const time = `${Math.floor(clock() / 1000)}`;
      const signature = createHmac('sha256', key).update(`${id}.${time}.${body}`).digest('base64');
      const headers = {
        'content-type': 'application/json',
        'webhook-id': id,
        'webhook-timestamp': time,
        'webhook-signature': `v1,${signature}`,
      };
      const { status } = await exchange(url, { method: 'POST', headers, body }, signal);
      if (status < 200 || status > 299) throw new CheckpointError('SINK_FAILED', `the webhook answered ${status}`);
    },
  };
}
