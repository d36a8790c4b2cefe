import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP } from 'node:net';

import { OutgoingError } from './outgoing.ts';
import { isPublicAddress, lookupPublic } from './public-address.ts';

/** Bytes of a document; what is longer is none that we asked for. */
const MAX_BYTES = 1_048_576;
/** ms for the whole of it, from the name's look-up to the last byte. */
const TIMEOUT_MS = 5000;

export interface FetchOptions {
  /** PEM; undefined: the authorities of Node. */
  readonly ca?: string | undefined;
  /** Refuse a host that is not on the public net: for URLs that others have named. */
  readonly publicOnly?: boolean;
  readonly timeoutMs?: number;
}

/**
 * A JSON document of somebody else. No redirects: who answers is who was asked. On a connection of its own, so that nothing
 * of an earlier answer is left on it. Rejects with OutgoingError.
 */
export async function fetchJson(url: string, options: FetchOptions = {}): Promise<unknown> {
  const target = new URL(url);
  try {
    const signal = AbortSignal.timeout(options.timeoutMs ?? TIMEOUT_MS);
    const response = await send(target, options, signal);
    if (response.statusCode !== 200 || response.headers['content-encoding'] !== undefined) {
      response.destroy();
      throw new OutgoingError('NO_ANSWER', `${target.host} answered ${response.statusCode ?? 'nothing'}`);
    }
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(await bounded(response)));
  } catch (cause) {
    if (cause instanceof OutgoingError) throw cause;
    throw new OutgoingError('NO_ANSWER', `no document from ${target.host}`, cause);
  }
}

function send(target: URL, options: FetchOptions, signal: AbortSignal): Promise<IncomingMessage> {
  const host = target.hostname.replace(/^\[|\]$/g, '');
  if (options.publicOnly === true && isIP(host) !== 0 && !isPublicAddress(host)) {
    throw new OutgoingError('NO_ANSWER', `${target.host} is not on the public net`);
  }
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const outgoing = (target.protocol === 'https:' ? httpsRequest : httpRequest)(target, {
    agent: false,
    signal,
    headers: { accept: 'application/json' },
    ...(options.ca === undefined ? {} : { ca: options.ca }),
    ...(options.publicOnly === true ? { lookup: lookupPublic } : {}),
  });
  outgoing.on('response', resolve).on('error', reject).end();
  return promise;
}

async function bounded(response: IncomingMessage): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  // Leaving the loop cancels the rest.
  for await (const chunk of response) {
    size += chunk.length;
    if (size > MAX_BYTES) throw new OutgoingError('ANSWER_TOO_LARGE', 'the document is too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
