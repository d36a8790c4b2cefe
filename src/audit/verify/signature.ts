import { constants, createPublicKey, type KeyObject, verify } from 'node:crypto';

import type { FindingClass } from './finding.ts';
import { RecentAnswers } from './recent-answers.ts';
import type { Algorithm, SignerEntry } from './registry.ts';
import { hasShape, looksForeign } from './signature-shape.ts';
import { type Candidate, candidatesOf, type SignatureTask } from './signed-message.ts';

const PSS_SALT_BYTES = 32;
const MIN_RSA_BITS = 2048;
const MIN_RSA_EXPONENT = 65_537n;
const SPKI_PEM = /^\s*-----BEGIN PUBLIC KEY-----[A-Za-z0-9+/=\s]+-----END PUBLIC KEY-----\s*$/;
/** Keys tried for a signature that the named key did not make: bounds the cost of a log full of bad signatures. */
const MAX_OTHER_KEYS = 64;

export interface SignatureVerdict {
  /** Which digest a signature of any registered key was found to be over; the same when both are equal. */
  readonly over: 'hash' | 'body' | 'nothing';
  readonly problem?: {
    readonly class: Extract<
      FindingClass,
      'signature-wrong' | 'signature-wrong-key' | 'signature-wrong-algorithm' | 'signer-out-of-range'
    >;
    readonly detail: string;
  };
  /** No public key can decide: neither right nor wrong. */
  readonly unverifiable?: string;
}

interface UsableKey {
  readonly entry: SignerEntry;
  readonly key: KeyObject;
}

/** One spelling as text and as bytes. */
interface Signature {
  readonly text: string;
  readonly bytes: Buffer;
}

type SignatureJudge = (task: SignatureTask) => SignatureVerdict;

/**
 * A judge over these signers. The algorithm is always the registry's, never the row's. What one signature over many events
 * is worth is found out once, while they come near each other. Never throws.
 */
export function createSignatureJudge(entries: readonly SignerEntry[]): SignatureJudge {
  const signers = new Map(entries.map((entry) => [entry.signerId, entry]));
  const keys = new Map<string, UsableKey>();
  const recent = new RecentAnswers();
  for (const entry of entries) {
    const key = usableKey(entry);
    if (key !== undefined) keys.set(entry.signerId, { entry, key });
  }

  return (task) => {
    const { signerId } = task;
    const signature = decode(task.signature);
    if (signature === undefined) return wrong('signature-wrong', 'not canonical base64');
    const candidates = candidatesOf(task);
    if (task.batch !== undefined && candidates.length === 0) {
      return wrong('signature-wrong', 'its place in the batch leads to no signed root');
    }
    const named = signers.get(signerId);
    const usable = keys.get(signerId);
    if (usable !== undefined) {
      const over = digestOf(usable, candidates, signature, recent);
      if (over !== 'nothing') return { over, ...purposeProblem(usable.entry) };
    }
    for (const other of [...keys.values()].slice(0, MAX_OTHER_KEYS)) {
      const over = other.entry.signerId === signerId ? 'nothing' : digestOf(other, candidates, signature, recent);
      if (over === 'nothing') continue;
      const detail = `made by the key of ${other.entry.signerId}, not of ${signerId}`;
      const differs = named !== undefined && named.alg !== other.entry.alg;
      return { over, problem: { class: differs ? 'signature-wrong-algorithm' : 'signature-wrong-key', detail } };
    }
    // No key of an unknown signer was ever allowed to sign: the empty range. It must not count as merely unverifiable,
    // or whoever can write rows could add events under a name of their own and leave nothing but an exit 2.
    if (named === undefined) return wrong('signer-out-of-range', `signer ${signerId} is not in the registry`);
    if (named.alg === 'HMAC-SHA256') {
      return {
        over: 'nothing',
        unverifiable: 'signed with a shared key (HMAC-SHA256), which is no third-party evidence',
      };
    }
    if (usable === undefined) {
      return { over: 'nothing', unverifiable: `the registered key of ${signerId} is not usable with ${named.alg}` };
    }
    return foreign(usable, candidates, signature)
      ? wrong('signature-wrong-algorithm', `not made by ${named.alg}, which the registry has for ${signerId}`)
      : wrong('signature-wrong', `no valid signature of ${signerId}`);
  };
}

function wrong(problem: NonNullable<SignatureVerdict['problem']>['class'], detail: string): SignatureVerdict {
  return { over: 'nothing', problem: { class: problem, detail } };
}

function purposeProblem({ signerId, purpose }: SignerEntry): Pick<SignatureVerdict, 'problem'> {
  if (purpose === 'audit') return {};
  const detail = `${signerId} is a signer of purpose ${purpose}, not audit`;
  return { problem: { class: 'signature-wrong-key', detail } };
}

/** Canonical base64 only, so that a stored signature has one spelling. */
function decode(text: string): Signature | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.length > 0 && bytes.toString('base64') === text ? { text, bytes } : undefined;
}

/** A public key that fits its registered algorithm; a weak or mismatched one verifies nothing. */
function usableKey({ alg, publicKey }: SignerEntry): KeyObject | undefined {
  if (alg === 'HMAC-SHA256' || publicKey === null || !SPKI_PEM.test(publicKey)) return undefined;
  try {
    const key = createPublicKey({ key: publicKey, format: 'pem', type: 'spki' });
    return fits(alg, key) ? key : undefined;
  } catch {
    return undefined;
  }
}

function fits(alg: Exclude<Algorithm, 'HMAC-SHA256'>, key: KeyObject): boolean {
  const { namedCurve, modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
  switch (alg) {
    case 'Ed25519':
      return key.asymmetricKeyType === 'ed25519';
    case 'ECDSA-P256-SHA256':
      return key.asymmetricKeyType === 'ec' && namedCurve === 'prime256v1';
    case 'RSA-PSS-SHA256':
      return key.asymmetricKeyType === 'rsa' && modulusLength >= MIN_RSA_BITS && publicExponent >= MIN_RSA_EXPONENT;
  }
}

function digestOf(
  by: UsableKey,
  candidates: readonly Candidate[],
  { text, bytes }: Signature,
  recent: RecentAnswers,
): 'hash' | 'body' | 'nothing' {
  if (!hasShape(by.entry.alg, by.key, bytes)) return 'nothing';
  const found = candidates.find(({ message, shared }) => {
    if (!shared) return verifies(by, message, bytes);
    const question = `${message.toString('latin1')} ${text} ${by.entry.signerId}`;
    return recent.of(question, () => verifies(by, message, bytes));
  });
  return found?.over ?? 'nothing';
}

function verifies({ entry, key }: UsableKey, message: Buffer, signature: Buffer): boolean {
  try {
    switch (entry.alg) {
      case 'Ed25519':
        return verify(null, message, key, signature);
      case 'ECDSA-P256-SHA256':
        return verify('sha256', message, { key, dsaEncoding: 'der' }, signature);
      case 'RSA-PSS-SHA256':
        return verify(
          'sha256',
          message,
          { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: PSS_SALT_BYTES },
          signature,
        );
      case 'HMAC-SHA256':
        return false;
    }
  } catch {
    return false; // an error of the library means one thing: not verified
  }
}

/** The shape of another algorithm, or the right RSA key with another padding or salt. */
function foreign({ entry, key }: UsableKey, [first]: readonly Candidate[], { bytes }: Signature): boolean {
  if (looksForeign(entry.alg, bytes)) return true;
  if (entry.alg !== 'RSA-PSS-SHA256' || first === undefined) return false;
  const paddings = [
    { padding: constants.RSA_PKCS1_PADDING },
    { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_AUTO },
  ];
  try {
    return paddings.some((padding) => verify('sha256', first.message, { key, ...padding }, bytes));
  } catch {
    return false;
  }
}
