import type { X509Certificate } from 'node:crypto';

import { normalSerial } from '../serials.ts';
import { authorityFacts } from './authorities.ts';
import type { RevocationList } from './crl.ts';
import { RevocationInvalid } from './errors.ts';
import { isSignedBy } from './signature.ts';

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
  /**
   * Of a certificate, its issuers after it: `good` only while there is a list in force for each of them, the last apart, which
   * nobody but itself could revoke.
   */
  standingOf(chain: readonly X509Certificate[], now: number): Standing;
}

export const NO_LISTS: RevocationLists = {
  lists: [],
  standingOf: () => ({ status: 'unknown', until: Number.POSITIVE_INFINITY }),
};

/**
 * Lists that may take the place of those in force. Throws RevocationInvalid for one that is not signed by the authority of
 * the bundle that it names, that is not of this time, or that is older than the one before. A list of an authority that the
 * bundle does not have is compared once a chain leads over it.
 */
export function compileLists(lists: readonly RevocationList[], context: Context): RevocationLists {
  for (const list of lists) {
    requireSigned(list, context);
    requireTimely(list, context);
  }
  return inForce(lists);
}

interface Context {
  readonly authorities: readonly X509Certificate[];
  readonly before: RevocationLists;
  /** Epoch ms. */
  readonly now: number;
}

function requireSigned(list: RevocationList, { authorities }: Context): void {
  const named = authorities.filter((authority) => authorityFacts(authority).name === list.issuer);
  if (named.length === 0 || named.some((authority) => isListOf(list, authority))) return;
  throw new RevocationInvalid('the revocation list is not signed by the authority that it names');
}

function requireTimely(list: RevocationList, { authorities, before, now }: Context): void {
  const { thisUpdate, nextUpdate } = list;
  if (thisUpdate > now + CLOCK_TOLERANCE) throw new RevocationInvalid('the revocation list is of a time to come');
  if (nextUpdate <= thisUpdate) throw new RevocationInvalid('the revocation list is over before it begins');
  // Authorities of one name have lists of their own.
  const mine = authorities.filter((authority) => isListOf(list, authority));
  for (const known of before.lists.filter((one) => mine.some((authority) => isListOf(one, authority)))) {
    if (isOlder(list, known)) throw new RevocationInvalid('the revocation list is older than the one in force');
    // At a start there is no other: nobody is let in, and the replica says why. In place of a good one it is a mistake.
    if (nextUpdate <= now && known.nextUpdate > now) throw new RevocationInvalid('the revocation list is over');
  }
}

function isOlder(list: RevocationList, than: RevocationList): boolean {
  if (list.number !== undefined && than.number !== undefined && list.number !== than.number) {
    return list.number < than.number;
  }
  return list.thisUpdate < than.thisUpdate;
}

function isListOf(list: RevocationList, authority: X509Certificate): boolean {
  const { name, signsLists } = authorityFacts(authority);
  return signsLists && name === list.issuer && isSignedBy(list.signed, authority.publicKey);
}

function inForce(lists: readonly RevocationList[]): RevocationLists {
  const known = new WeakMap<X509Certificate, RevocationList[]>();

  /** The newest one. */
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

  return { lists, standingOf };
}
