import type { DsseEnvelope } from '../crypto/dsse.ts';

/** A new proof as an answer shows it. */
export function wire({ payloadType, payload, signatures }: DsseEnvelope) {
  return { payloadType, payload, signatures: signatures.map(({ keyid, sig }) => ({ keyid, sig })) };
}
