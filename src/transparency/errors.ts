import { CodedError } from '../errors.ts';

export type TransparencyErrorCode =
  | 'MALFORMED' // bytes or text that are not of their format
  | 'OUT_OF_RANGE' // a size, an index or a range that a tree of that size does not have
  | 'NODE_UNAVAILABLE' // a stored hash or tile that must be there is not
  | 'NOTE_UNSIGNED' // no signature by a key that was asked for
  | 'NOTE_SIGNATURE_WRONG' // a signature that names a known key is not by it
  | 'TILE_CONFLICT'; // another content was written under the same name before

/** A tree, note or tile that cannot be had, read or trusted. Proofs are not thrown about: they hold or they do not. */
export class TransparencyError extends CodedError {
  readonly code: TransparencyErrorCode;

  constructor(code: TransparencyErrorCode, message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}
