import { type AdmissionCheck, PASS, SKIP } from '../check.ts';
import { deny } from '../verdict.ts';

/**
 * The signer of the proof is neither revoked nor compromised, whenever it signed. A signer that is not in the registry,
 * not in force yet, or was not in force when it signed is no revoked one: the signature check refuses that.
 */
export const signerRevocation: AdmissionCheck = {
  name: 'signerRevocation',
  check({ mode, proof, signer }) {
    if (mode !== 'governed' || proof === null) return SKIP;
    if (signer === null || (signer.state !== 'revoked' && signer.state !== 'compromised')) return PASS;
    return deny('signerRevocation', 'SIGNER_REVOKED', `signer ${signer.signerId} is ${signer.state}`);
  },
};
