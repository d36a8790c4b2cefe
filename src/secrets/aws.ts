import type { Match } from './match.ts';
import { entropyOf } from './plausible.ts';

const KEY_ID = /(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])/g;
/** A secret key has no mark of its own: its length, its neighbours and its entropy tell. */
const SECRET = /(?<![A-Za-z0-9/+=])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])/g;
const NAMED = /(?:aws.{0,16}secret|secret.{0,8}access.{0,8}key).{0,24}$/i;
const NAME_LENGTH = 64;
/** How far a key id and its secret stand apart in a credentials file, a CSV or a line of exports. */
const NEAR = 512;
/** Bits per character; a hex digest has at most 4. */
const MIN_ENTROPY = 4.1;

/** Key ids, and secret keys that are named so or stand near a key id. */
export function* findAwsKeys(text: string): Generator<Match> {
  const ids = [...text.matchAll(KEY_ID)];
  let next = 0;
  for (const { 0: secret, index: start } of text.matchAll(SECRET)) {
    // Both lists go up: the first id that is not too far behind is the only one to look at.
    while ((ids[next]?.index ?? Number.POSITIVE_INFINITY) < start - NEAR) next += 1;
    const near = (ids[next]?.index ?? Number.POSITIVE_INFINITY) <= start + NEAR;
    if (!near && !NAMED.test(text.slice(Math.max(0, start - NAME_LENGTH), start))) continue;
    if (entropyOf(secret) < MIN_ENTROPY) continue;
    yield { kind: 'aws-secret-access-key', start, end: start + secret.length, secret };
  }
  for (const { 0: secret, index } of ids) {
    yield { kind: 'aws-access-key-id', start: index, end: index + secret.length, secret };
  }
}
