import { once } from 'node:events';
import { duplexPair } from 'node:stream';
import { connect, createSecureContext, type SecureContextOptions, TLSSocket } from 'node:tls';

import { FileRefused } from './errors.ts';

/** Ms; without a network between them the two ends need a few. */
const DEADLINE_MS = 5_000;

/**
 * Makes a handshake with this material, in memory. Rejects with FileRefused unless it succeeds and shows the certificate with
 * this fingerprint: whatever is wrong is found out by ourselves and not by the first client.
 */
export async function trySelfHandshake(material: SecureContextOptions, fingerprint256: string): Promise<void> {
  const [ours, theirs] = duplexPair();
  const server = new TLSSocket(ours, { isServer: true, requestCert: true, secureContext: contextOf(material) });
  // Nobody else is at the other end; whether others trust the certificate is theirs to say.
  const client = connect({ socket: theirs, rejectUnauthorized: false, minVersion: 'TLSv1.2' });
  const failed = Promise.withResolvers<never>();
  for (const end of [server, client]) end.once('error', failed.reject);
  try {
    const signal = AbortSignal.timeout(DEADLINE_MS);
    await Promise.race([once(client, 'secureConnect', { signal }), failed.promise]);
    if (client.getPeerX509Certificate()?.fingerprint256 !== fingerprint256)
      throw new FileRefused('a handshake shows another certificate');
  } catch (cause) {
    throw cause instanceof FileRefused ? cause : new FileRefused('no handshake succeeds with it', { cause });
  } finally {
    server.destroy();
    client.destroy();
  }
}

function contextOf(material: SecureContextOptions) {
  try {
    return createSecureContext(material);
  } catch (cause) {
    throw new FileRefused('not usable PEM of one identity', { cause });
  }
}
