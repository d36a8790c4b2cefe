import type { Match } from './match.ts';
import { isPlaceholder, looksGenerated } from './plausible.ts';

/**
 * A name that ends in a word for a secret, then `=`, `:`, `:=` or `=>`, then a quoted value without spaces or a bare one. It
 * begins at the word, so that what stands before costs nothing; a page token is a cursor.
 */
const ASSIGNMENT =
  /(?<!(?:page|cursor)[-_]?)(?:passw(?:or)?d|passphrase|pwd|secret|token|credentials?|(?:api|access|secret|private|signing|encryption|hmac|account|auth)[-_ ]?key)\\{0,3}["'`]?\]?(?:: ?string)?[ \t]{0,16}(?:=>|:=|={1,3}|:)[ \t]{0,16}(?:\\{0,3}(["'`])([^\s"'`\\]{10,256})\\{0,3}\1|([^\s"'`\\,;(){}[\]<>]{10,256}))/dgi;
/** `config?.auth.token2`: an expression, unless one of its parts is as random as a value. */
const EXPRESSION = /^[A-Za-z_$][\w$]{0,255}[?!]?\.[A-Za-z_$]/;
const AFTER_BARE = /^[\s,;"'<]?$/;

const URL_PASSWORD = /:\/\/[^\s/:@"'`<>\\]{0,64}:([^\s/@"'`<>\\]{3,256})@[A-Za-z0-9.[$%{_-]/dg;

/** `password = "…"` and the like, where the value is as a generator makes it: words and references are not reported. */
export function* findAssignments(text: string): Generator<Match> {
  for (const { 2: quoted, 3: bare, indices } of text.matchAll(ASSIGNMENT)) {
    const secret = quoted ?? bare ?? '';
    const [start, end] = indices?.[2] ?? indices?.[3] ?? [0, 0];
    if (!looksGenerated(secret)) continue;
    if (quoted === undefined && (isExpression(secret) || !AFTER_BARE.test(text.charAt(end)))) continue;
    yield { kind: 'generic-secret', start, end, secret };
  }
}

function isExpression(value: string): boolean {
  return EXPRESSION.test(value) && !value.split('.').some(looksGenerated);
}

/** Passwords in URLs, weak ones too; not where a template or a word stands for one. */
export function* findUrlPasswords(text: string): Generator<Match> {
  for (const { 1: secret = '', indices } of text.matchAll(URL_PASSWORD)) {
    const [start, end] = indices?.[1] ?? [0, 0];
    if (!isPlaceholder(secret)) yield { kind: 'url-password', start, end, secret };
  }
}
