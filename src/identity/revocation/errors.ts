/** A revocation list, a list of serial numbers or an OCSP response that does not count; the message is for operators. */
export class RevocationInvalid extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'RevocationInvalid';
  }
}
