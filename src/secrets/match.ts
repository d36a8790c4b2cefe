/**
 * One thing found in a text. `start` and `end` bound the secret, for the line and to tell two findings of the same text
 * apart; `secret` is what the fingerprint is made of and never leaves this slice.
 */
export interface Match {
  readonly kind: string;
  readonly start: number;
  readonly end: number;
  readonly secret: string;
}

/** Looks through a window of a text. The text is Latin-1: one character per byte of the file. */
export type Detector = (text: string) => Iterable<Match>;

/** No detector needs more than this after the start of a match (the longest is a PEM key with its line ends escaped). */
export const LONGEST_MATCH = 64 * 1024;
/** Nor more than this before it (the `kty` of a JWK whose `d` comes last). */
export const LONGEST_CONTEXT = 16 * 1024;
