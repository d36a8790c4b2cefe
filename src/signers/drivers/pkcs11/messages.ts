import type { SignatureAlgorithm } from '../../../crypto/signer.ts';

/** HMAC is left out: whoever holds the secret to verify with can sign without the token. */
export type TokenAlgorithm = Exclude<SignatureAlgorithm, 'HMAC-SHA256'>;

/** Where a key is, and the PIN that opens it. */
export interface TokenKey {
  /** Path of the vendor's PKCS#11 library. */
  readonly module: string;
  readonly tokenLabel: string;
  readonly pin: string;
  /** CKA_LABEL, or `id:` and the CKA_ID in hex. */
  readonly key: string;
}

/** The public half as the token has it. */
export interface TokenPublicKey {
  readonly algorithm: TokenAlgorithm;
  /** SPKI PEM. */
  readonly publicKey: string;
}

/** One at a time; `open` is the first. */
export type TokenRequest =
  | { readonly open: TokenKey }
  | { readonly sign: Uint8Array }
  | { readonly verify: Uint8Array; readonly signature: Uint8Array }
  | { readonly probe: true };

/**
 * `passing`: the token or its session is gone, another try in a new process may do. `away`: no such token or key now.
 * `unsuitable`: there is, and it is unfit. `pin`: the PIN is not to be tried again. `refused`: this one call only.
 */
export type FailureKind = 'passing' | 'away' | 'unsuitable' | 'pin' | 'refused';

export type TokenReply =
  | { readonly opened: TokenPublicKey }
  | { readonly signature: Uint8Array }
  | { readonly valid: boolean }
  | { readonly ready: true }
  | { readonly failure: FailureKind; readonly message: string };

/** Why the token did not do it. Names functions and return values of PKCS#11, never a PIN or what was to be signed. */
export class TokenFailure extends Error {
  readonly kind: FailureKind;

  constructor(kind: FailureKind, message: string) {
    super(message);
    this.kind = kind;
  }
}
