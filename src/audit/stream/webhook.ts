import type { Clock } from '../../clock.ts';
import { sha256Hex } from '../../crypto/digest.ts';
import { exchange, OutgoingError, type Reply, webhookHeaders } from '../../http/outgoing.ts';
import type { Destination, Item } from './destination.ts';
import { StreamError } from './errors.ts';

/** ms; longest time of one attempt. */
const ATTEMPT_MS = 10_000;
/** ms; waits between attempts, doubled from the first to the last. */
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 60_000;
/** ms; a receiver may not put us off for longer. */
const LONGEST_ASKED_MS = 3_600_000;
/** 4xx that say "later": timeout, too early, too many. */
const LATER: ReadonlySet<number> = new Set([408, 425, 429]);

export interface WebhookOptions {
  readonly url: string;
  /** Base64 of the shared secret. */
  readonly secret: string;
  readonly authorization: string | undefined;
  readonly contentType: string;
  /** A batch as one JSON array, or one event per line. */
  readonly form: 'array' | 'lines';
  /** Attempts until the destination counts as gone. */
  readonly attempts: number;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Resolves after `ms`; rejects when the stream is to end. */
  readonly wait: (ms: number) => Promise<void>;
  /** Told why an attempt failed, and when the next one is made. */
  readonly failed: (why: string, waitMs: number) => void;
}

/** POSTs each batch, signed as Standard Webhooks has it, until it is taken; a refusal that would be repeated ends the stream. */
export function webhookDestination(options: WebhookOptions): Destination {
  const { url, attempts, clock, random, wait } = options;
  return {
    deliver: async (items) => {
      const body = bodyOf(items, options.form);
      // The same for the same batch, so that a receiver can tell a repetition.
      const id = `audit_${sha256Hex(items.map((item) => item.id).join(' ')).slice(0, 32)}`;
      for (let attempt = 1; ; attempt += 1) {
        const { why, after } = await post(options, id, body);
        if (why === undefined) return;
        if (attempt >= attempts) throw new StreamError('UNDELIVERED', `${why}: given up after ${attempt} attempts`);
        const backOff = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (attempt - 1)) * (0.5 + random() / 2);
        const waitMs = Math.max(backOff, waitAskedFor(after, clock()));
        options.failed(`${new URL(url).host}: ${why}`, waitMs);
        await wait(waitMs);
      }
    },
  };
}

function bodyOf(items: readonly Item[], form: WebhookOptions['form']): string {
  const texts = items.map(({ text }) => text);
  return form === 'array' ? `[${texts.join(',')}]` : `${texts.join('\n')}\n`;
}

/** Why the batch was not taken, if it was not, and the receiver's Retry-After. */
async function post(
  { url, secret, authorization, contentType, clock }: WebhookOptions,
  id: string,
  body: string,
): Promise<{ why?: string; after?: string | null }> {
  const headers = {
    'content-type': contentType,
    ...(authorization === undefined ? {} : { authorization }),
    ...webhookHeaders(secret, id, clock(), body),
  };
  let reply: Reply;
  try {
    reply = await exchange(url, { method: 'POST', headers, body }, AbortSignal.timeout(ATTEMPT_MS));
  } catch (error) {
    if (error instanceof OutgoingError) return { why: `${error.message}${causeOf(error)}` };
    throw error;
  }
  const { status } = reply;
  if (status >= 200 && status <= 299) return {};
  if (status < 500 && !LATER.has(status)) {
    throw new StreamError(
      'UNDELIVERED',
      `${new URL(url).host} answered ${status}: nothing was skipped, mend it and start again`,
    );
  }
  return { why: `answered ${status}`, after: reply.headers.get('retry-after') };
}

/** ms asked for by Retry-After, which is seconds or a date; 0 when it says nothing that can be read. */
function waitAskedFor(header: string | null | undefined, now: number): number {
  const text = header?.trim() ?? '';
  const asked = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - now;
  return asked > 0 ? Math.min(asked, LONGEST_ASKED_MS) : 0;
}

function causeOf({ cause }: OutgoingError): string {
  const root = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
  return root instanceof Error && root.message !== '' ? ` (${root.message})` : '';
}
