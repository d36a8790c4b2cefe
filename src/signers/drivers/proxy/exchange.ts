import type { IncomingMessage } from 'node:http';
import { Agent, request as send } from 'node:https';
import { SignerError } from '../../../crypto/signer.ts';
import { KeyError } from '../../../crypto/verify.ts';
import { TransientFailure } from '../attempts.ts';
import { connectionFailure } from '../connection-failure.ts';

/** A reply is a key or a signature; what is longer is neither. */
const MAX_REPLY_BYTES = 65_536;
const MAX_SOCKETS = 64;
const JSON_TYPE = /^application\/json\s*(;|$)/i;
/** What a gateway or a busy proxy answers, and another attempt may not meet. */
const PASSING: ReadonlySet<number> = new Set([429, 502, 503, 504]);

export interface ProxyConnection {
  /** https, without query and without credentials in it; its path goes before /v1. */
  readonly url: string;
  /** PEM of the authorities to trust; the runtime's own if absent. */
  readonly ca?: string | undefined;
  /** The client certificate and its key in PEM; else `apiKey`, or both. */
  readonly client?: { readonly cert: string; readonly key: string } | undefined;
  /** Sent as a bearer token. */
  readonly apiKey?: string | undefined;
}

/** One request each, answered with JSON. `call` rejects with SignerError; a GET without a body. */
export interface Exchange {
  call(path: string, body: unknown, signal: AbortSignal): Promise<unknown>;
  close(): void;
}

/** KeyError for an address or credentials that are not usable. */
export function createExchange({ url, ca, client, apiKey }: ProxyConnection): Exchange {
  const base = safeBase(url);
  if (client === undefined && apiKey === undefined) {
    throw new KeyError('the signing proxy needs a client certificate or an API key');
  }
  const agent = new Agent({
    keepAlive: true,
    maxSockets: MAX_SOCKETS,
    minVersion: 'TLSv1.2',
    ...(ca === undefined ? {} : { ca }),
    ...client,
  });
  const headers = {
    accept: 'application/json',
    ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
  };

  async function call(path: string, body: unknown, signal: AbortSignal): Promise<unknown> {
    try {
      const text = body === undefined ? undefined : JSON.stringify(body);
      return await readReply(await exchange(path, text, signal));
    } catch (error) {
      throw asSignerError(error);
    }
  }

  function exchange(path: string, text: string | undefined, signal: AbortSignal): Promise<IncomingMessage> {
    const method = text === undefined ? 'GET' : 'POST';
    const type = text === undefined ? {} : { 'content-type': 'application/json' };
    return new Promise((resolve, reject) => {
      // Redirects are not followed: a signature comes from the address in the configuration or not at all.
      send(`${base}${path}`, { method, agent, signal, headers: { ...headers, ...type } }, resolve)
        .on('error', reject)
        .end(text);
    });
  }

  return { call, close: () => agent.destroy() };
}

async function readReply(response: IncomingMessage): Promise<unknown> {
  const { statusCode: status = 0, headers } = response;
  try {
    if (PASSING.has(status))
      throw new TransientFailure(`signing proxy: status ${status}`, { retryAfterMs: retryAfter(headers) });
    if (status !== 200) throw new SignerError(`signing proxy: status ${status}`);
    if (!JSON_TYPE.test(headers['content-type'] ?? '')) throw new SignerError('signing proxy: the reply is no JSON');
    if (headers['content-encoding'] !== undefined) throw new SignerError('signing proxy: the reply is encoded');
    return parse(await readAll(response));
  } finally {
    // What is left unread would hold the connection.
    if (!response.complete) response.destroy();
  }
}

async function readAll(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_REPLY_BYTES) throw new SignerError('signing proxy: the reply is too long');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The engine's message would quote the reply.
    throw new SignerError('signing proxy: the reply is no JSON');
  }
}

/** ms; RFC 9110 §10.2.3, in seconds only. */
function retryAfter(headers: IncomingMessage['headers']): number | undefined {
  const { 'retry-after': text = '' } = headers;
  return /^\d{1,9}$/.test(text) ? Number(text) * 1000 : undefined;
}

/** Only the code is kept: an error of the connection can hold the request, with the API key in it. */
function asSignerError(error: unknown): SignerError {
  if (error instanceof SignerError) return error;
  const code = connectionFailure(error);
  if (code !== undefined) return new TransientFailure(`signing proxy: ${code}`);
  const other = error instanceof Error && 'code' in error ? String(error.code) : 'failed';
  return new SignerError(`signing proxy: ${other}`);
}

function safeBase(text: string): string {
  const url = URL.parse(text);
  if (url === null) throw new KeyError('the address of the signing proxy is not a URL');
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw new KeyError('the address of the signing proxy must have no credentials, query or fragment');
  }
  if (url.protocol !== 'https:') throw new KeyError(`the signing proxy at ${url.origin} is not https`);
  return url.href.replace(/\/+$/, '');
}
