import type { AuditAppender, UnitScope } from '../audit/append.ts';
import type { Actor } from '../audit/event.ts';
import type { Signer } from '../crypto/signer.ts';
import { SYSTEM_CHAIN } from '../ids.ts';
import type { Trx } from '../storage/database.ts';
import { isUniqueViolation } from '../storage/pg-errors.ts';
import type { Storage } from '../storage/storage.ts';
import { applyRotation } from './admit.ts';
import { SignerMismatch } from './errors.ts';
import { registeredEvent } from './registered-event.ts';
import { appendRegistryEvent } from './registry-event.ts';
import { findSigner, insertSigner, type SignerRow, statesOfOthers } from './store.ts';
import type { SignerPurpose } from './table.ts';
import { isInForce } from './transitions.ts';

const ACTOR: Actor = { id: 'castellan', kind: 'system' };

/** A key that this process signs with. */
export interface OwnSigner {
  readonly signer: Signer;
  readonly purpose: SignerPurpose;
  /** Null for a shared secret. */
  readonly publicKey: string | null;
}

export interface BootRules {
  /** A key that the registry did not list was registered all the same while others of its purpose are trusted; never in production. */
  readonly trustsUnlisted?: (signerId: string) => void;
  /** Rejects with SignerError unless the key signs. */
  readonly tries: (one: OwnSigner) => Promise<unknown>;
}

/**
 * Brings the own keys into the registry: the first of their purpose at once, one whose rotation was requested in the place
 * of the one before. Throws SignerMismatch for a key that the registry does not expect.
 */
export async function admitOwn(
  { storage, audit }: { storage: Storage; audit: AuditAppender },
  own: readonly OwnSigner[],
  rules: BootRules,
): Promise<void> {
  // Nothing to write, no signature needed.
  const waiting = await storage.read(SYSTEM_CHAIN, (trx) => waitingOf(trx, own));
  if (waiting.length === 0) return;
  // Not before it has signed: the one it replaces would be on its way out for nothing.
  for (const one of waiting) await rules.tries(one);
  const admit = () =>
    audit.commit({
      chain: SYSTEM_CHAIN,
      // The first boot of all also starts the system chain.
      creates: true,
      work: async (scope) => {
        const unlisted: string[] = [];
        for (const one of own) {
          if (await admitOne(scope, one, rules)) unlisted.push(one.signer.signerId);
        }
        return unlisted;
      },
    });
  // Told when it is so: a boot that fails trusts nothing.
  for (const signerId of await orAgain(admit)) rules.trustsUnlisted?.(signerId);
}

/** Another replica's first boot may be a moment faster; then there is a chain to queue on. */
async function orAgain<T>(admit: () => Promise<T>): Promise<T> {
  try {
    return await admit();
  } catch (error) {
    if (!isUniqueViolation(error)) throw error;
    return await admit();
  }
}

/** Own keys that are not listed, or pending. */
async function waitingOf(trx: Trx, own: readonly OwnSigner[]): Promise<OwnSigner[]> {
  const waiting: OwnSigner[] = [];
  for (const one of own) {
    const row = await findOwn(trx, one);
    if (row === undefined || row.state === 'pending') waiting.push(one);
  }
  return waiting;
}

/** Whether nobody had announced it. */
async function admitOne(scope: UnitScope, one: OwnSigner, rules: BootRules): Promise<boolean> {
  const row = await findOwn(scope.trx, one);
  if (row === undefined) return register(scope, one, rules);
  if (row.state === 'pending') await applyRotation(scope, row, ACTOR);
  return false;
}

/** Its row. SignerMismatch when its id is taken by another key. */
async function findOwn(trx: Trx, { signer, publicKey, purpose }: OwnSigner): Promise<SignerRow | undefined> {
  const { signerId, algorithm } = signer;
  const row = await findSigner(trx, signerId);
  if (row === undefined) return undefined;
  if (row.alg === algorithm && row.public_key === publicKey && row.purpose === purpose) return row;
  throw new SignerMismatch(`signer ${signerId} is registered with another key or purpose`);
}

/** Whether it is trusted although others of its purpose are. */
async function register(
  scope: UnitScope,
  { signer, publicKey, purpose }: OwnSigner,
  rules: BootRules,
): Promise<boolean> {
  const { signerId, algorithm: alg } = signer;
  const others = await statesOfOthers(scope.trx, purpose, signerId);
  const unlisted = others.some((state) => isInForce(state) || state === 'pending');
  if (unlisted && rules.trustsUnlisted === undefined) {
    throw new SignerMismatch(`signer ${signerId} is not in the registry; request a rotation first`);
  }
  const entry = { signerId, alg, publicKey, purpose, notBefore: null, notAfter: null, createdBy: ACTOR.id };
  if (!(await insertSigner(scope.trx, entry, new Date(scope.now)))) {
    throw new SignerMismatch(`the key of signer ${signerId} is registered under another id`);
  }
  await appendRegistryEvent(scope, registeredEvent(entry, ACTOR, undefined));
  return unlisted;
}
