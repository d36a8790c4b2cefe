import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { request as sendPlain } from 'node:http';
import { request as sendTls } from 'node:https';
import { createSecureContext } from 'node:tls';

import type { KernelApiConfig } from '../config/identity.ts';
import { ConfigError } from '../config.ts';
import { KernelUnavailable } from './errors.ts';
import { type KernelSigner, readKernelSigner } from './kernel-entry.ts';

/** An entry of a registry has about 2 KB. */
const MAX_REPLY_BYTES = 65_536;
const JSON_TYPE = /^application\/json\s*(;|$)/i;

/** Asks the Kernel's API for a signer; undefined for one that it does not know. Rejects with KernelUnavailable. */
export type AskKernel = (signerId: string, signal: AbortSignal) => Promise<KernelSigner | undefined>;

/**
 * One request each, on a connection of its own: answers are kept, so there are few. Certificates are read for each, so that
 * files that are replaced count at once.
 */
export function createAskKernel(config: KernelApiConfig): AskKernel {
  const base = config.url.replace(/\/+$/, '');

  return async (signerId, signal) => {
    try {
      const tls = await readKernelFiles(config);
      const response = await send(`${base}/signers/${encodeURIComponent(signerId)}`, tls, signal);
      return await readReply(response, signerId);
    } catch (error) {
      throw asUnavailable(error);
    }
  };

  function send(url: string, tls: KernelTls, signal: AbortSignal): Promise<IncomingMessage> {
    const { token } = config;
    const headers = {
      accept: 'application/json',
      'accept-encoding': 'identity',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    };
    const options = { method: 'GET', agent: false as const, signal, headers };
    return new Promise((resolve, reject) => {
      // Redirects are not followed: who answers is who was configured.
      const outgoing = url.startsWith('https:')
        ? sendTls(url, { ...options, ...tls, minVersion: 'TLSv1.2' }, resolve)
        : sendPlain(url, options, resolve);
      outgoing.on('error', reject).end();
    });
  }
}

export interface KernelTls {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** The files of a connection to the Kernel's API. ConfigError when one cannot be read, or is not what it should be. */
export async function readKernelFiles({ caFile, certFile, keyFile }: KernelApiConfig): Promise<KernelTls> {
  const tls = {
    ...(caFile === undefined ? {} : { ca: await readText(caFile) }),
    ...(certFile === undefined ? {} : { cert: await readText(certFile) }),
    ...(keyFile === undefined ? {} : { key: await readText(keyFile) }),
  };
  try {
    createSecureContext(tls);
    // It takes a text without any certificate for a list of none.
    if (tls.ca !== undefined) new X509Certificate(tls.ca);
  } catch {
    const files = [caFile, certFile, keyFile].filter((file) => file !== undefined);
    throw new ConfigError([`${files.join(', ')}: not usable PEM for the Kernel's API`]);
  }
  return tls;
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new ConfigError([`${path} cannot be read (${cause instanceof Error ? cause.message : 'unknown'})`]);
  }
}

async function readReply(response: IncomingMessage, signerId: string): Promise<KernelSigner | undefined> {
  const { statusCode: status = 0, headers } = response;
  try {
    if (status === 404) return undefined;
    if (status !== 200) throw new KernelUnavailable(`the Kernel's API answered with status ${status}`);
    if (!JSON_TYPE.test(headers['content-type'] ?? ''))
      throw new KernelUnavailable("the Kernel's API answered no JSON");
    if (headers['content-encoding'] !== undefined) throw new KernelUnavailable("the Kernel's answer is encoded");
    return readKernelSigner(await readAll(response), signerId);
  } finally {
    // What is left unread would hold the connection.
    response.destroy();
  }
}

async function readAll(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_REPLY_BYTES) throw new KernelUnavailable("the Kernel's answer is too long");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Only the code is kept: an error of the connection can hold the request, with the token in it. */
function asUnavailable(error: unknown): KernelUnavailable {
  if (error instanceof KernelUnavailable) return error;
  if (error instanceof ConfigError)
    return new KernelUnavailable("the files of the connection to the Kernel's API cannot be used");
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'failed';
  return new KernelUnavailable(`no answer from the Kernel's API: ${code}`);
}
