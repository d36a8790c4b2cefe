import type { Match } from './match.ts';
import { isPlaceholder, looksGenerated } from './plausible.ts';

/**
 * A name that ends in a word for a secret, then `=`, `:`, `:=` or `=>`, then a quoted value without spaces or a bare one. It
 * begins at the word, so that what stands before costs nothing; a page token is a cursor.
 */
const ASSIGNMENT =
  /(?<!(?:page|cursor)[-_]?)(?:passw(?:or)?d|passphrase|pwd|secret|token|credentials?|(?:api|access|secret|private|signing|encryption|hmac|account|auth)[-_ ]?key)\\{0,3}["'`]?\]?(?:: ?string)?([ \t]{0,16}(?:=>|:=|={1,3}|:)[ \t]{0,16})(?:\\{0,3}(["'`])([^\s"'`\\]{10,256})\\{0,3}\2|([^\s"'`\\,;(){}[\]<>]{10,256}))/dgi;
/** `config?.auth.token2`: an expression, unless one of its parts is as random as a value. */
const EXPRESSION = /^[A-Za-z_$][\w$]{0,255}[?!]?\.[A-Za-z_$]/;
/** After a bare value: the line ends, unless `name=value` stands in a command or a connection string. */
const LINE_END = /^[ \t]{0,16}(?:#|\r?\n|$)/;
const TIGHT_END = /^(?:[\s;"'`&<]|$)/;
const AFTER = 32;

const URL_PASSWORD = /:\/\/[^\s/:@"'`<>\\]{0,64}:([^\s/@"'`<>\\]{3,256})@[A-Za-z0-9.[$%{_-]/dg;

/** `password = "…"` and the like, where the value is as a generator makes it: words and references are not reported. */
export function* findAssignments(text: string): Generator<Match> {
  for (const { 1: separator = '', 3: quoted, 4: bare, indices } of text.matchAll(ASSIGNMENT)) {
    const secret = quoted ?? bare ?? '';
    const [start, end] = indices?.[3] ?? indices?.[4] ?? [0, 0];
    if (!looksGenerated(secret)) continue;
    if (quoted === undefined && !isWhole(secret, separator, text.slice(end, end + AFTER))) continue;
    yield { kind: 'generic-secret', start, end, secret };
  }
}

/** A bare value and nothing else: program text has expressions and types there. */
function isWhole(value: string, separator: string, after: string): boolean {
  return !isExpression(value) && (separator === '=' ? TIGHT_END : LINE_END).test(after);
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
