import type { UnitScope } from '../audit/append.ts';
import { admitSigner, newSigner } from './admit.ts';
import { conflict, type SignerCaller } from './caller.ts';
import { canonicalEntry } from './canonical-registry.ts';
import { SignerRegistryError } from './errors.ts';
import { normalizedKey, timeOf } from './new-key.ts';
import type { ImportedEntry, ImportResult } from './schema.ts';
import { findSigner, type NewSigner, statesOfOthers } from './store.ts';
import { isInForce } from './transitions.ts';

/** An entry to be imported, in its one spelling. */
interface Import {
  /** Its members that are given, as the registry has them. */
  readonly entry: Readonly<Record<string, unknown>>;
  readonly signer: NewSigner;
}

const TIMES = ['notBefore', 'notAfter', 'revokedAt', 'trustedUpTo'] as const;

/** Throws SIGNER_INVALID for what cannot be in a registry. */
export function readImport(entry: ImportedEntry, caller: SignerCaller): Import {
  const { createdAt: _created, updatedAt: _updated, notBefore, notAfter, ...given } = entry;
  const times = TIMES.flatMap((name) =>
    entry[name] === undefined ? [] : [[name, timeOf(entry[name], name)?.toISOString() ?? null]],
  );
  const window = { ...(notBefore ? { notBefore } : {}), ...(notAfter ? { notAfter } : {}) };
  const { signerId, alg, publicKey, purpose } = given;
  return {
    entry: { ...given, publicKey: normalizedKey(entry), ...Object.fromEntries(times) },
    signer: newSigner({ signerId, alg, publicKey, purpose, ...window }, caller),
  };
}

/** A file brings keys of others; that Castellan itself signs with one more key is asked for by name. */
async function requireOpenPlace({ trx }: UnitScope, { signerId, purpose }: NewSigner): Promise<void> {
  if (purpose === 'manifest') return;
  const others = await statesOfOthers(trx, purpose, signerId);
  if (others.some(isInForce)) throw conflict(`there is a signer for ${purpose} in force: request a rotation`);
}

/**
 * Trusts the keys of another registry: all, or none. Those that are registered just like this are left as they are. Throws
 * ALREADY_EXISTS for one that is registered otherwise, SIGNER_INVALID for a new one that is not in force where it comes from.
 */
export async function importSigners(
  scope: UnitScope,
  imports: readonly Import[],
  caller: SignerCaller,
): Promise<ImportResult> {
  const imported: string[] = [];
  const skipped: string[] = [];
  for (const { entry, signer } of imports) {
    const { signerId } = signer;
    const row = await findSigner(scope.trx, signerId);
    if (row === undefined) {
      const { state = 'active' } = entry;
      if (state !== 'active') throw new SignerRegistryError('SIGNER_INVALID', `${signerId} is ${String(state)}`);
      await requireOpenPlace(scope, signer);
      await admitSigner(scope, signer, caller);
      imported.push(signerId);
      continue;
    }
    const other = Object.entries(canonicalEntry(row)).find(([name, value]) => name in entry && entry[name] !== value);
    if (other !== undefined) {
      throw new SignerRegistryError('ALREADY_EXISTS', `${signerId} is registered with another ${other[0]}`);
    }
    skipped.push(signerId);
  }
  return { imported, skipped };
}
