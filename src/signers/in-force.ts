import type { SignerRow } from './store.ts';
import type { SignerPurpose } from './table.ts';
import { isInForce } from './transitions.ts';

/** Why a signer may not sign for that purpose at that moment (ms since the epoch); undefined when it may. */
export function notInForce(row: SignerRow | undefined, purpose: SignerPurpose, now: number): string | undefined {
  if (row === undefined) return 'it is not registered';
  if (row.purpose !== purpose) return `it is for ${row.purpose}, not for ${purpose}`;
  if (!isInForce(row.state)) return `it is ${row.state}`;
  if (row.not_before !== null && now < row.not_before.getTime()) return 'its time has not come';
  if (row.not_after !== null && now >= row.not_after.getTime()) return 'its time is over';
  return undefined;
}

/** Whether a signature counts that it made at that moment: whatever ends the trust in a signer leaves what came before. */
export function countsAt({ state, revoked_at, trusted_up_to }: SignerRow, at: number): boolean {
  switch (state) {
    case 'pending':
      return false;
    case 'active':
    case 'retiring':
    case 'retired':
      return true;
    case 'revoked':
      return revoked_at !== null && at <= revoked_at.getTime();
    case 'compromised':
      return trusted_up_to !== null && at <= trusted_up_to.getTime();
  }
}
