import type { X509Certificate } from 'node:crypto';

import { isInForce } from '../trust-bundle.ts';
import { authorityFacts } from './authorities.ts';
import type { RevocationList } from './crl.ts';
import { RevocationInvalid } from './errors.ts';
import type { RevocationLists } from './lists.ts';

/** Where the lists of an authority have got to. */
export interface Mark {
  readonly number: bigint | undefined;
  /** Epoch ms. */
  readonly thisUpdate: number;
}

/**
 * By the id of an authority: the newest list that was ever in force. An authority that was away in between, or without a list,
 * keeps its mark: otherwise its older lists would count again, and take revocations back.
 */
export type Marks = ReadonlyMap<string, Mark>;

/** By number; by time where one of the two has no number, or both have the same. */
export function isOlder(list: Mark, than: Mark): boolean {
  if (list.number !== undefined && than.number !== undefined && list.number !== than.number) {
    return list.number < than.number;
  }
  return list.thisUpdate < than.thisUpdate;
}

/**
 * What the lists leave behind of the authorities of the bundle. Throws RevocationInvalid where one that is in force has lost its
 * list, or has an older one or one that is over: the change of a file must not take away what holds.
 */
export function succeed(
  before: RevocationLists,
  next: Pick<RevocationLists, 'listOf'>,
  { authorities, now }: { readonly authorities: readonly X509Certificate[]; readonly now: number },
): Marks {
  const marks = new Map(before.marks);
  for (const authority of authorities) {
    const [known, list] = [before.listOf(authority), next.listOf(authority)];
    if (list !== undefined)
      marks.set(authorityFacts(authority).id, requireNotBehind(list, known, before, authority, now));
    else if (known !== undefined && isInForce(authority, now)) {
      const name = authority.subject.replaceAll('\n', ', ');
      throw new RevocationInvalid(`the authority ${name} has no list any more and is in the client CA file`);
    }
  }
  return marks;
}

function requireNotBehind(
  list: RevocationList,
  known: RevocationList | undefined,
  { marks }: RevocationLists,
  authority: X509Certificate,
  now: number,
): Mark {
  const mark = marks.get(authorityFacts(authority).id);
  if (mark !== undefined && isOlder(list, mark)) {
    throw new RevocationInvalid('the revocation list is older than the one in force, or than one that was');
  }
  // At a start there is no other: nobody is let in, and the replica says why. In place of a good one it is a mistake.
  if (known !== undefined && list.nextUpdate <= now && known.nextUpdate > now) {
    throw new RevocationInvalid('the revocation list is over');
  }
  // A list without a number says nothing of the numbers that were.
  return { number: list.number ?? mark?.number, thisUpdate: list.thisUpdate };
}
