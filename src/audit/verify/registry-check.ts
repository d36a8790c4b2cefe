import { createHash } from 'node:crypto';

import { canonicalText } from './canonical.ts';
import type { EventClaims } from './event-check.ts';
import type { Registry, SignerEntry } from './registry.ts';

/** A registry that the events of chain `_system` can be asked about. */
export interface KnownRegistry {
  readonly digest: string;
  /** Kept elsewhere, it is compared with an event of this version only; undefined: the log's own, which is the newest. */
  readonly version: number | undefined;
  /** How many changes the log's own says it has seen; undefined: it does not say. */
  readonly counted?: number | undefined;
  /** Read in one transaction with the log of checkpoints. */
  readonly withLog: boolean;
}

/** Whether the registry is the one that the newest event about it names; that event is signed, the registry is not. */
export class RegistryCheck {
  readonly #known: KnownRegistry | undefined;
  #named: { readonly seq: number; readonly version: number; readonly digest: string } | undefined;

  constructor(known: KnownRegistry | undefined) {
    this.#known = known;
  }

  named(seq: number, registry: EventClaims['registry']): void {
    if (registry !== undefined) this.#named = { seq, ...registry };
  }

  /** The seq of the event that names another registry. */
  get misfit(): number | undefined {
    if (this.#known === undefined || this.#named === undefined) return undefined;
    const { version, digest, counted = this.#named.version } = this.#known;
    if (version !== undefined && version !== this.#named.version) return undefined;
    return digest === this.#named.digest && counted === this.#named.version ? undefined : this.#named.seq;
  }
}

/** As the writer names a registry: SHA-256 of the RFC 8785 form of its entries by signerId. */
export function digestOf(registry: Registry): string {
  const entries = Array.from(registry.values()).sort((a, b) => (a.signerId < b.signerId ? -1 : 1));
  return `sha256:${createHash('sha256')
    .update(canonicalText(entries.map(written)))
    .digest('hex')}`;
}

function written(entry: SignerEntry): object {
  const { signerId, alg, publicKey, purpose, state, validFromSize, validToSize, replaces } = entry;
  const times = {
    notBefore: instant(entry.notBefore),
    notAfter: instant(entry.notAfter),
    revokedAt: instant(entry.revokedAt),
    trustedUpTo: instant(entry.trustedUpTo),
  };
  return { signerId, alg, publicKey, purpose, state, ...times, validFromSize, validToSize, replaces };
}

function instant(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}
