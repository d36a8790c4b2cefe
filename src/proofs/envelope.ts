import { canonicalBytes } from '../crypto/canonical-json.ts';
import { type Digest, sha256Digest } from '../crypto/digest.ts';
import { type DsseEnvelope, DsseError, type DsseSignature, pae, parseEnvelope } from '../crypto/dsse.ts';
import { type VerificationKey, verifySignature, verifySignatureAsync } from '../crypto/verify.ts';
import { parseStrictJson, StrictJsonError } from '../http/strict-json.ts';
import { type AnyStatement, parseAnyStatement } from './shared-statement.ts';
import { PAYLOAD_TYPE, ProofError } from './statement.ts';

/** `value` as the envelope of a proof: DSSE form, the in-toto type, exactly one signature. Trusts nothing. */
export function parseProofEnvelope(value: unknown): DsseEnvelope {
  try {
    const envelope = parseEnvelope(value);
    if (envelope.payloadType !== PAYLOAD_TYPE) throw new ProofError(`the payload type is not ${PAYLOAD_TYPE}`);
    // Which of two signers would be asked for would be the sender's choice.
    if (envelope.signatures.length !== 1) throw new ProofError('a proof has exactly one signature');
    return envelope;
  } catch (error) {
    if (error instanceof DsseError) throw new ProofError(error.message, { cause: error });
    throw error;
  }
}

/** The statement inside a parsed envelope, **unverified**: who relies on it must have checked the signature. */
export function openProof(envelope: DsseEnvelope): AnyStatement {
  const payload = payloadOf(envelope);
  const statement = parseAnyStatement(parsePayload(payload));
  if (!canonicalBytes(statement).equals(payload)) throw new ProofError('the payload is not canonical JSON');
  return statement;
}

/** Whether the envelope's one signature is by `key`, whose algorithm alone counts. Never throws. */
export function checkSignature(envelope: DsseEnvelope, key: VerificationKey): boolean {
  const signed = signedOf(envelope);
  return signed !== undefined && verifySignature(key, signed.data, signed.signature);
}

/** As checkSignature, on the thread pool. Never rejects. */
export async function checkSignatureAsync(envelope: DsseEnvelope, key: VerificationKey): Promise<boolean> {
  const signed = signedOf(envelope);
  return signed !== undefined && verifySignatureAsync(key, signed.data, signed.signature);
}

/** The kid under which the registry must know the signer. */
export function signerIdOf(envelope: DsseEnvelope): DsseSignature['keyid'] {
  const [signature] = envelope.signatures;
  if (signature === undefined) throw new ProofError('a proof has exactly one signature');
  return signature.keyid;
}

/** What a renewed proof names as `previousProof`: the digest of the signed payload, whoever signed it. */
export function proofDigest(envelope: DsseEnvelope): Digest {
  return sha256Digest(payloadOf(envelope));
}

function signedOf({ payloadType, payload, signatures }: DsseEnvelope) {
  const [signature, ...more] = signatures;
  if (signature === undefined || more.length > 0) return undefined;
  return { data: pae(payloadType, Buffer.from(payload, 'base64')), signature: Buffer.from(signature.sig, 'base64') };
}

function payloadOf(envelope: DsseEnvelope): Buffer {
  return Buffer.from(envelope.payload, 'base64');
}

function parsePayload(payload: Buffer): unknown {
  try {
    return parseStrictJson(payload);
  } catch (error) {
    if (error instanceof StrictJsonError) throw new ProofError(`the payload: ${error.message}`, { cause: error });
    throw error;
  }
}
