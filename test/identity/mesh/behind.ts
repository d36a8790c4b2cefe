import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';

import { type CertificateRequest, type Issued, issue, newKey } from '../../../src/certs/authority.ts';
import { exchange } from '../../abuse/support/raw.ts';
import { inForce } from '../../certs/material.ts';
import type { TestService } from '../../support/service.ts';

export const PROXY = 'spiffe://castellan.dev/proxy/mesh';
export const OTHER_PROXY = 'spiffe://castellan.dev/proxy/other';

export interface Reply {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: tests read whatever the contract promises
  readonly body: any;
  readonly closed: boolean;
}

/** Certificates of the authority that a test service trusts. */
export async function issuer(certsDir: string) {
  const pem = (name: string) => readFileSync(join(certsDir, name), 'utf8');
  const authority = { cert: pem('ca.crt'), key: pem('ca.key') };
  const key = await newKey();
  return (uri: string, change: Partial<CertificateRequest> = {}): Promise<Issued> =>
    issue(authority, { commonName: 'client', names: [{ uri }], usage: 'client', validity: inForce, ...change }, key);
}

/** A GET with these header lines, as they are, over a connection of its own. */
export async function ask(
  { service, certsDir }: TestService,
  pair: Issued | undefined,
  path: string,
  lines: readonly string[],
): Promise<Reply> {
  const { hostname, port } = new URL(service.apiUrl);
  const ca = readFileSync(join(certsDir, 'ca.crt'));
  const socket = connect({ host: hostname, port: Number(port), ca, ...pair });
  socket.on('error', () => socket.destroy());
  const head = [`GET ${path} HTTP/1.1`, 'Host: a', ...lines, 'Connection: close', '', ''].join('\r\n');
  const { answers, closed } = await exchange(socket, Buffer.from(head, 'latin1'));
  const [answer] = answers;
  return { status: answer?.status ?? 0, body: JSON.parse(answer?.body || '{}'), closed };
}

export function fingerprint({ cert }: Issued): string {
  return new X509Certificate(cert).fingerprint256.replaceAll(':', '').toLowerCase();
}

/** As Envoy writes it with `uri`, and with `cert` where a pair is given. */
export function element(uri: string, shown: Issued | undefined, { by = PROXY, cert = false } = {}): string {
  const hash = shown === undefined ? 'ab'.repeat(32) : fingerprint(shown);
  const whole = cert && shown !== undefined ? `;Cert="${encodeURIComponent(shown.cert)}"` : '';
  return `By=${by};Hash=${hash}${whole};Subject="CN=client";URI=${uri}`;
}
