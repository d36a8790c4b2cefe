import { type Cryptoki, call, type Handle, loadCryptoki, returnValue } from './cryptoki.ts';
import { inputOf, mechanismOf, publicKeyOf, signatureFor, signatureFrom } from './mechanisms.ts';
import { TokenFailure, type TokenKey, type TokenPublicKey } from './messages.ts';
import { findKeyPair, type KeyPair, requireThere } from './objects.ts';

// Values of PKCS#11 2.40 (pkcs11t.h).
const CKF_SERIAL_SESSION = 0x04;
const CKF_USER_PIN_FINAL_TRY = 0x20_000;
const CKF_USER_PIN_LOCKED = 0x40_000;
const CKU_USER = 1;
/** CKS_RO_USER_FUNCTIONS, CKS_RW_USER_FUNCTIONS: somebody is logged in. */
const LOGGED_IN: ReadonlySet<number> = new Set([1, 3]);
/** Return values of C_Login that say something about the PIN: tried again, it would lock the token. */
const PIN_REFUSED: ReadonlySet<string> = new Set([
  'CKR_PIN_EXPIRED',
  'CKR_PIN_INCORRECT',
  'CKR_PIN_INVALID',
  'CKR_PIN_LEN_RANGE',
  'CKR_PIN_LOCKED',
]);
/** Bytes of the longest signature: RSA with 8,192 bits. */
const MAX_SIGNATURE = 1024;

/** One key of one token, in a session that is logged in. Every call blocks, and throws TokenFailure. */
export interface Token {
  readonly key: TokenPublicKey;
  sign(data: Uint8Array): Buffer;
  /** Whether the token itself says so, with its public key object. */
  verify(data: Uint8Array, signature: Uint8Array): boolean;
  /** Returns when session and key are still there; signs nothing. */
  probe(): void;
  close(): void;
}

export async function openToken(at: TokenKey): Promise<Token> {
  const cryptoki = await loadCryptoki(at.module);
  const slot = findSlot(cryptoki, at.tokenLabel);
  const session = call('C_OpenSession', () => cryptoki.C_OpenSession(slot, CKF_SERIAL_SESSION));
  logIn(cryptoki, session, at.pin);
  const pair = findKeyPair(cryptoki, session, at.key);
  const key = publicKeyOf(pair.attributes);
  return { key, ...operations(cryptoki, session, pair, key), close: () => cryptoki.C_Finalize() };
}

function operations(
  cryptoki: Cryptoki,
  session: Handle,
  { privateKey, publicKey }: KeyPair,
  { algorithm }: TokenPublicKey,
): Pick<Token, 'sign' | 'verify' | 'probe'> {
  return {
    sign(data) {
      call('C_SignInit', () => cryptoki.C_SignInit(session, mechanismOf(algorithm), privateKey));
      const room = Buffer.alloc(MAX_SIGNATURE);
      return signatureFrom(
        algorithm,
        call('C_Sign', () => cryptoki.C_Sign(session, inputOf(algorithm, data), room)),
      );
    },
    verify(data, signature) {
      const raw = signatureFor(algorithm, signature);
      if (raw === undefined) return false;
      call('C_VerifyInit', () => cryptoki.C_VerifyInit(session, mechanismOf(algorithm), publicKey));
      try {
        return cryptoki.C_Verify(session, inputOf(algorithm, data), raw);
      } catch (error) {
        const value = returnValue(error);
        if (value === 'CKR_SIGNATURE_INVALID' || value === 'CKR_SIGNATURE_LEN_RANGE') return false;
        throw new TokenFailure('passing', `C_Verify: ${value}`);
      }
    },
    probe() {
      const { state } = call('C_GetSessionInfo', () => cryptoki.C_GetSessionInfo(session));
      if (!LOGGED_IN.has(state)) throw new TokenFailure('passing', 'the session is not logged in any more');
      requireThere(cryptoki, session, privateKey);
    },
  };
}

function findSlot(cryptoki: Cryptoki, label: string): Handle {
  const slots = call('C_GetSlotList', () => cryptoki.C_GetSlotList(true));
  const found = slots.filter((slot) => tokenInfo(cryptoki, slot)?.label === label);
  const [slot] = found;
  if (slot === undefined) throw new TokenFailure('away', `no token has the label ${label}`);
  if (found.length > 1) throw new TokenFailure('unsuitable', `${found.length} tokens have the label ${label}`);
  const { flags = 0 } = tokenInfo(cryptoki, slot) ?? {};
  if ((flags & CKF_USER_PIN_LOCKED) !== 0) throw new TokenFailure('pin', `the PIN of token ${label} is locked`);
  if ((flags & CKF_USER_PIN_FINAL_TRY) !== 0) {
    const remedy = 'log in by hand once, then start again';
    throw new TokenFailure('pin', `one more wrong PIN would lock token ${label}: ${remedy}`);
  }
  return slot;
}

/** Undefined for a slot whose token cannot be asked: another vendor's, or one that is just being taken out. */
function tokenInfo(cryptoki: Cryptoki, slot: Handle): { label: string; flags: number } | undefined {
  try {
    const { label, flags } = cryptoki.C_GetTokenInfo(slot);
    // Padded with blanks (PKCS#11 §3.2).
    return { label: label.trimEnd(), flags };
  } catch {
    return undefined;
  }
}

function logIn(cryptoki: Cryptoki, session: Handle, pin: string): void {
  try {
    cryptoki.C_Login(session, CKU_USER, pin);
  } catch (error) {
    const value = returnValue(error);
    if (value === 'CKR_USER_ALREADY_LOGGED_IN') return;
    throw new TokenFailure(PIN_REFUSED.has(value) ? 'pin' : 'passing', `C_Login: ${value}`);
  }
}
