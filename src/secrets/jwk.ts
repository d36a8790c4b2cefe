import type { Match } from './match.ts';
import { isPlaceholder } from './plausible.ts';

/** A brace, or a member of RFC 7517 that decides; JSON, JSON in a JSON string, JavaScript and YAML flow spell it alike. */
const TOKEN =
  /[{}]|(?<![\w$-])\\{0,3}["']?(kty|d|k)\\{0,3}["']?[ \t\r\n]{0,32}:[ \t\r\n]{0,32}\\{0,3}["']([A-Za-z0-9_=-]{2,4096})\\{0,3}["']/g;
/** base64url: 16 bytes for a secret, 24 for a private number (the shortest curve in use has 32). */
const MIN_OCT = 22;
const MIN_PRIVATE = 32;

/**
 * Private JSON Web Keys: `d` beside `kty`, or `k` of an `oct` key. A JWK holds no objects before its `d`, so a brace either
 * way begins anew.
 */
export function* findPrivateJwks(text: string): Generator<Match> {
  let kty: string | undefined;
  let held: Match[] = [];
  for (const { 0: whole, 1: name, 2: value = '', index } of text.matchAll(TOKEN)) {
    if (name === 'kty') kty = value;
    else if (name === undefined) {
      kty = undefined;
      held = [];
    } else held.push(memberOf(name, value, index, index + whole.length));
    if (kty === undefined) continue;
    for (const match of held) if (isPrivate(kty, match)) yield match;
    held = [];
  }
}

function memberOf(name: string, secret: string, start: number, end: number): Match {
  return { kind: name === 'k' ? 'jwk-secret-key' : 'jwk-private-key', start, end, secret };
}

function isPrivate(kty: string, { kind, secret }: Match): boolean {
  if (isPlaceholder(secret)) return false;
  if (kind === 'jwk-secret-key') return kty === 'oct' && secret.length >= MIN_OCT;
  return kty !== 'oct' && secret.length >= MIN_PRIVATE;
}
