import { createHmac } from 'node:crypto';

import { CodedError } from '../errors.ts';

/** Bytes of an answer; what is longer is none that we asked for. */
const MAX_REPLY_BYTES = 65_536;

export type OutgoingErrorCode =
  | 'NO_ANSWER' // nobody answers there, or not in time
  | 'ANSWER_TOO_LARGE';

/** A request of ours that got no answer that can be used. */
export class OutgoingError extends CodedError {
  readonly code: OutgoingErrorCode;

  constructor(code: OutgoingErrorCode, message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

export interface OutgoingRequest {
  readonly method: 'POST' | 'PUT';
  readonly headers: Record<string, string>;
  readonly body: string | Uint8Array<ArrayBuffer>;
}

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Uint8Array;
}

/** One request with a body. Redirects are not followed: who answers is who was configured. Rejects with OutgoingError. */
export async function exchange(url: string, request: OutgoingRequest, signal: AbortSignal): Promise<Reply> {
  try {
    const response = await fetch(url, { ...request, redirect: 'manual', signal });
    const body = await bounded(response);
    return { status: response.status, headers: response.headers, body };
  } catch (cause) {
    if (cause instanceof OutgoingError) throw cause;
    throw new OutgoingError('NO_ANSWER', `no answer from ${new URL(url).host}`, cause);
  }
}

/**
 * The headers of Standard Webhooks: HMAC-SHA256 with a shared secret (base64) over id, time and body. The id is the same
 * whenever the same message is sent again.
 */
export function webhookHeaders(secret: string, id: string, nowMs: number, body: string): Record<string, string> {
  const time = `${Math.floor(nowMs / 1000)}`;
  const key = Buffer.from(secret, 'base64');
  const signature = createHmac('sha256', key).update(`${id}.${time}.${body}`).digest('base64');
  return { 'webhook-id': id, 'webhook-timestamp': time, 'webhook-signature': `v1,${signature}` };
}

async function bounded(response: Response): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  // Leaving the loop cancels the rest.
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > MAX_REPLY_BYTES) throw new OutgoingError('ANSWER_TOO_LARGE', 'the answer is too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
