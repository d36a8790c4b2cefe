import type { X509Certificate } from 'node:crypto';

import { normalSerial } from '../serials.ts';
import { authorityFacts } from './authorities.ts';
import type { RevocationList } from './crl.ts';
import { RevocationInvalid } from './errors.ts';
import { isSignedBy } from './signature.ts';
import { isOlder, type Marks, succeed } from './succession.ts';

/** ms by which the clock of an authority may be ahead. */
const CLOCK_TOLERANCE = 300_000;

/** What is known of a certificate, and until when (epoch ms) that need not be asked again. */
export interface Standing {
  readonly status: 'good' | 'revoked' | 'unknown';
  readonly until: number;
}

/** Revocation lists that were found good together. */
export interface RevocationLists {
  readonly lists: readonly RevocationList[];
  /** Of them and of all before them. */
  readonly marks: Marks;
  /** The newest one of an authority; it may be over. */
  listOf(authority: X509Certificate): RevocationList | undefined;
  /**
   * Of a certificate, its issuers after it: `good` only while there is a list in force for each of them, the last apart, which
   * nobody but itself could revoke.
   */
  standingOf(chain: readonly X509Certificate[], now: number): Standing;
}

export const NO_LISTS: RevocationLists = {
  lists: [],
  marks: new Map(),
  listOf: () => undefined,
  standingOf: () => ({ status: 'unknown', until: Number.POSITIVE_INFINITY }),
};

interface Context {
  /** Of the bundle as it is now. */
  readonly authorities: readonly X509Certificate[];
  readonly before: RevocationLists;
  /** Epoch ms. */
  readonly now: number;
}

/**
 * Lists that may take the place of those in force. Throws RevocationInvalid for one that is not of an authority of the bundle
 * and signed by it, or not of this time, and where an authority would have less than before.
 */
export function compileLists(lists: readonly RevocationList[], context: Context): RevocationLists {
  for (const list of lists) {
    requireSigned(list, context);
    requireTimely(list, context);
  }
  const next = inForce(lists);
  return { ...next, lists, marks: succeed(context.before, next, context) };
}

function requireSigned(list: RevocationList, { authorities }: Context): void {
  // Byte for byte, as everywhere: a name that only reads the same is another.
  const named = authorities.filter((authority) => authorityFacts(authority).name === list.issuer);
  if (named.some((authority) => isListOf(list, authority))) return;
  throw new RevocationInvalid(
    named.length === 0
      ? 'the revocation list is of no authority of the client CA file'
      : 'the revocation list is not signed by the authority that it names',
  );
}

function requireTimely({ thisUpdate, nextUpdate }: RevocationList, { now }: Context): void {
  if (thisUpdate > now + CLOCK_TOLERANCE) throw new RevocationInvalid('the revocation list is of a time to come');
  if (nextUpdate <= thisUpdate) throw new RevocationInvalid('the revocation list is over before it begins');
}

function isListOf(list: RevocationList, authority: X509Certificate): boolean {
  const { name, signsLists } = authorityFacts(authority);
  return signsLists && name === list.issuer && isSignedBy(list.signed, authority.publicKey);
}

function inForce(lists: readonly RevocationList[]): Pick<RevocationLists, 'listOf' | 'standingOf'> {
  const known = new WeakMap<X509Certificate, RevocationList[]>();

  function listOf(authority: X509Certificate): RevocationList | undefined {
    const found = known.get(authority) ?? lists.filter((list) => isListOf(list, authority));
    known.set(authority, found);
    return found.reduce((best, list) => (best === undefined || isOlder(best, list) ? list : best), found[0]);
  }

  function standingOf(chain: readonly X509Certificate[], now: number): Standing {
    let until = Number.POSITIVE_INFINITY;
    let isKnown = chain.length > 1;
    for (const [index, issuer] of chain.slice(1).entries()) {
      const list = listOf(issuer);
      const serial = normalSerial(chain[index]?.serialNumber ?? '');
      if (list?.revoked.has(serial) === true) return { status: 'revoked', until: Number.POSITIVE_INFINITY };
      if (list === undefined || list.nextUpdate <= now) isKnown = false;
      else until = Math.min(until, list.nextUpdate);
    }
    return isKnown ? { status: 'good', until } : { status: 'unknown', until: Number.POSITIVE_INFINITY };
  }

  return { listOf, standingOf };
}
