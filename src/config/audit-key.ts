import { type Environment, SettingsReader } from './read.ts';
import { AUDIT, type KeyServices, readToken } from './signing.ts';

/** Who holds the audit key, and how to ask. `local` and `proxy` cannot verify for us: their public key can. */
export type AuditKeyHolder =
  | { readonly source: 'local' | 'proxy' }
  | { readonly source: 'kms'; readonly keyArn: string; readonly kms: KeyServices['kms'] }
  | { readonly source: 'pkcs11'; readonly key: string; readonly token: NonNullable<KeyServices['pkcs11']> };

/**
 * The holder that the settings of the service name, or the KMS key given instead of theirs; or what is missing in them.
 * Settings that have nothing to do with it are not looked at.
 */
export function readAuditKeyHolder(env: Environment, kmsKey: string | undefined): AuditKeyHolder | readonly string[] {
  const read = new SettingsReader(env);
  const source = kmsKey === undefined ? read.text(AUDIT.source) : 'kms';
  if (source === 'kms') {
    const keyArn = kmsKey ?? read.required(AUDIT.kmsKey);
    const kms = { endpoint: read.text('CASTELLAN_KMS_ENDPOINT'), caFile: read.text('CASTELLAN_KMS_CA_FILE') };
    return read.problems.length > 0 ? read.problems : { source, keyArn, kms };
  }
  if (source === 'pkcs11') {
    const key = read.required(AUDIT.pkcs11Key);
    const token = readToken(read);
    return read.problems.length > 0 || token === undefined ? read.problems : { source, key, token };
  }
  return read.problems.length > 0 ? read.problems : { source: source === 'proxy' ? 'proxy' : 'local' };
}
