/** Codes a start or a promotion may be denied with first. A label takes these and no other value. */
const REASONS = new Set([
  'SANDBOX_EXPIRED',
  'CONTAINMENT_VIOLATION',
  'PROOF_MISSING',
  'SPEC_HASH_MISMATCH',
  'POLICY_HASH_MISMATCH',
  'SIGNER_REVOKED',
  'SIGNATURE_INVALID',
  'INTERCEPTOR_ERROR',
  'AGENT_QUARANTINED',
  'PROOF_EXPIRED',
  'KILL_SWITCH',
  'WORKSPACE_SUSPENDED',
  'PERMISSION_DENIED',
  'ANATOMY_INCOMPLETE',
  'INVALID_CAPABILITIES',
  'TEMPERATURE_VIOLATION',
  'BUDGET_EXCEEDED',
]);

/** A label value for a denial code: policies may deny with codes of their own, and those would grow without bound. */
export function reasonLabel(code: string): string {
  return REASONS.has(code) ? code : 'OTHER';
}
