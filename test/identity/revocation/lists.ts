import { createPrivateKey, webcrypto, X509Certificate } from 'node:crypto';
import { fromBER, Integer, OctetString } from 'asn1js';
import { Certificate, CertificateRevocationList, Extension, Extensions, RevokedCertificate, Time } from 'pkijs';

import type { Issued } from '../../../src/certs/authority.ts';

export const HOUR = 3_600_000;

export interface ListRequest {
  readonly serials?: readonly string[];
  readonly number?: number | undefined;
  readonly thisUpdate?: number;
  /** Null: the list does not say. */
  readonly nextUpdate?: number | null;
  readonly hash?: 'SHA-1' | 'SHA-256' | 'SHA-384';
  /** Of the list, or of each entry; `value` in DER. */
  readonly extensions?: readonly { readonly id: string; readonly critical: boolean; readonly value: Uint8Array }[];
  readonly entryExtensions?: ListRequest['extensions'];
  /** In whose name, when it is not that of who signs. */
  readonly inTheNameOf?: Issued;
}

/** A revocation list in DER, signed with the authority's RSA key. */
export async function makeList(authority: Issued, request: ListRequest = {}): Promise<Buffer> {
  const now = Math.floor(Date.now() / 1000) * 1000;
  const { serials = [], thisUpdate = now - HOUR, nextUpdate = now + HOUR, hash = 'SHA-256' } = request;
  const list = new CertificateRevocationList();
  list.version = 1;
  list.issuer = certificateOf(request.inTheNameOf ?? authority).subject;
  list.thisUpdate = new Time({ type: 0, value: new Date(thisUpdate) });
  if (nextUpdate !== null) list.nextUpdate = new Time({ type: 0, value: new Date(nextUpdate) });
  const entryExtensions = extensionsOf(request.entryExtensions);
  if (serials.length > 0) {
    list.revokedCertificates = serials.map((serial) => {
      const entry = new RevokedCertificate({
        userCertificate: new Integer({
          valueHex: Buffer.from(serial.padStart(serial.length + (serial.length % 2), '0'), 'hex'),
        }),
        revocationDate: new Time({ type: 0, value: new Date(thisUpdate) }),
      });
      if (entryExtensions !== undefined) entry.crlEntryExtensions = entryExtensions;
      return entry;
    });
  }
  const number = 'number' in request ? request.number : 1;
  const numbered =
    number === undefined ? [] : [{ id: '2.5.29.20', critical: false, value: der(new Integer({ value: number })) }];
  const extensions = extensionsOf([...numbered, ...(request.extensions ?? [])]);
  if (extensions !== undefined) list.crlExtensions = extensions;
  const key = await webcrypto.subtle.importKey(
    'pkcs8',
    createPrivateKey(authority.key).export({ type: 'pkcs8', format: 'der' }),
    { name: 'RSASSA-PKCS1-v1_5', hash },
    false,
    ['sign'],
  );
  await list.sign(key, hash);
  return Buffer.from(list.toSchema(true).toBER());
}

export function asPem(...lists: readonly Buffer[]): Buffer {
  const blocks = lists.map(
    (list) =>
      `-----BEGIN X509 CRL-----\n${list.toString('base64').replace(/(.{64})/g, '$1\n')}\n-----END X509 CRL-----\n`,
  );
  return Buffer.from(blocks.join(''));
}

export function serialOf({ cert }: Issued): string {
  return new X509Certificate(cert).serialNumber;
}

function certificateOf({ cert }: Issued): Certificate {
  return new Certificate({ schema: fromBER(new X509Certificate(cert).raw).result });
}

function extensionsOf(wanted: ListRequest['extensions']): Extensions | undefined {
  if (wanted === undefined || wanted.length === 0) return undefined;
  return new Extensions({
    extensions: wanted.map(
      ({ id, critical, value }) =>
        new Extension({ extnID: id, critical, extnValue: new OctetString({ valueHex: value }).valueBlock.valueHex }),
    ),
  });
}

export function der(value: { toBER(): ArrayBuffer }): Uint8Array {
  return new Uint8Array(value.toBER());
}
