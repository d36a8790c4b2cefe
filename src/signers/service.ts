import type { AuditAppender, Claim } from '../audit/append.ts';
import type { Actor } from '../audit/event.ts';
import { KeyError, verificationKey } from '../crypto/verify.ts';
import { NotFound } from '../http/problem.ts';
import { SYSTEM_CHAIN } from '../ids.ts';
import type { Storage } from '../storage/storage.ts';
import { SignerRegistryError } from './errors.ts';
import { publicKeyPem } from './keys.ts';
import { registeredEvent } from './registered-event.ts';
import type { RegisterSigner, SignerView } from './schema.ts';
import { findSigner, insertSigner, listSigners, revokeSigner, type SignerRow } from './store.ts';
import { signerView } from './view.ts';

interface SignerCaller extends Actor {
  readonly traceId?: string | undefined;
}

/** Who may vouch for what: the registry, and what changes it. */
export interface SignerRegistry {
  /** Every entry by signerId, in the form of signers.json. */
  list(): Promise<SignerView[]>;
  /** Trusts a key from now on. Throws SignerRegistryError SIGNER_INVALID or ALREADY_EXISTS. */
  register(request: RegisterSigner, caller: SignerCaller, claim?: Claim<SignerView>): Promise<SignerView>;
  /** Ends the trust in a signer for good, even when nothing can be signed. Throws NotFound, SIGNER_STATE_CONFLICT. */
  revoke(signerId: string, reason: string, caller: SignerCaller, claim?: Claim<SignerView>): Promise<SignerView>;
}

export function createSignerRegistry({ storage, audit }: { storage: Storage; audit: AuditAppender }): SignerRegistry {
  async function list(): Promise<SignerView[]> {
    const rows = await storage.read(SYSTEM_CHAIN, listSigners);
    return rows.map(signerView);
  }

  async function register(
    request: RegisterSigner,
    caller: SignerCaller,
    claim?: Claim<SignerView>,
  ): Promise<SignerView> {
    const { signerId, alg, purpose } = request;
    const publicKey = normalizedKey(request);
    const { notBefore, notAfter } = windowOf(request);
    const signer = { signerId, alg, publicKey, purpose, notBefore, notAfter, createdBy: caller.id };
    return audit.commit({
      chain: SYSTEM_CHAIN,
      claim,
      work: async (scope) => {
        if (!(await insertSigner(scope.trx, signer, new Date(scope.now)))) {
          throw new SignerRegistryError('ALREADY_EXISTS', 'the signerId or the key is registered already');
        }
        scope.append(registeredEvent(signer, actorOf(caller), caller.traceId));
        return signerView(found(await findSigner(scope.trx, signerId)));
      },
    });
  }

  async function revoke(
    signerId: string,
    reason: string,
    caller: SignerCaller,
    claim?: Claim<SignerView>,
  ): Promise<SignerView> {
    return audit.commit({
      chain: SYSTEM_CHAIN,
      claim,
      brake: true,
      work: async (scope) => {
        const { state, purpose } = found(await findSigner(scope.trx, signerId));
        if (state === 'revoked' || state === 'compromised') {
          throw new SignerRegistryError('SIGNER_STATE_CONFLICT', `the signer is ${state} already`);
        }
        const now = new Date(scope.now);
        const row = await revokeSigner(scope.trx, signerId, reason, now);
        scope.append({
          type: 'signer.revoked',
          actor: actorOf(caller),
          payload: { signerId, purpose, revokedAt: now.toISOString(), reason },
          traceId: caller.traceId,
        });
        return signerView(row);
      },
    });
  }

  return { list, register, revoke };
}

/** The key in its one spelling, so that no second entry can hold it under another. */
function normalizedKey({ alg, publicKey }: RegisterSigner): string {
  if (alg === 'HMAC-SHA256') {
    throw new SignerRegistryError('SIGNER_INVALID', 'a shared secret has no public key: it is set by configuration');
  }
  try {
    const pem = publicKeyPem(verificationKey(alg, publicKey));
    if (pem !== null) return pem;
  } catch (error) {
    if (!(error instanceof KeyError)) throw error;
    throw new SignerRegistryError('SIGNER_INVALID', error.message, error);
  }
  throw new SignerRegistryError('SIGNER_INVALID', 'not a public key');
}

function windowOf(request: RegisterSigner): { notBefore: Date | null; notAfter: Date | null } {
  const notBefore = request.notBefore === undefined ? null : new Date(request.notBefore);
  const notAfter = request.notAfter === undefined ? null : new Date(request.notAfter);
  // RFC 3339 knows leap seconds, Date does not.
  if ([notBefore, notAfter].some((time) => time !== null && Number.isNaN(time.getTime()))) {
    throw new SignerRegistryError('SIGNER_INVALID', 'notBefore or notAfter cannot be represented');
  }
  if (notBefore !== null && notAfter !== null && notAfter <= notBefore) {
    throw new SignerRegistryError('SIGNER_INVALID', 'notAfter is not later than notBefore');
  }
  return { notBefore, notAfter };
}

function actorOf({ id, kind }: SignerCaller): Actor {
  return { id, kind };
}

function found(row: SignerRow | undefined): SignerRow {
  if (row === undefined) throw new NotFound();
  return row;
}
