import type { AdmissionCheck } from '../check.ts';
import { policyHashBinding } from './policy-hash-binding.ts';
import { proofPresence } from './proof-presence.ts';
import { sandboxContainment } from './sandbox-containment.ts';
import { sandboxExpiry } from './sandbox-expiry.ts';
import { createSignatureCheck } from './signature.ts';
import { signerRevocation } from './signer-revocation.ts';
import { specHash } from './spec-hash.ts';

/** The seven of the contract (§9), in its order. */
export function admissionChecks(signature: AdmissionCheck = createSignatureCheck()): readonly AdmissionCheck[] {
  return [sandboxExpiry, sandboxContainment, proofPresence, specHash, policyHashBinding, signerRevocation, signature];
}
