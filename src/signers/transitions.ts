import type { SignerState } from './table.ts';

/**
 * What can happen to a signer: its replacement or a person puts it in force, its replacement takes over, its overlap ends,
 * its trust ends, its key was in other hands.
 */
export type SignerStep = 'activate' | 'replace' | 'retire' | 'revoke' | 'compromise';

type Row = Readonly<Partial<Record<SignerStep, SignerState>>>;

/** Every step that is possible; all others are refused. Nothing leads out of `compromised`. */
const TRANSITIONS: Readonly<Record<SignerState, Row>> = {
  pending: { activate: 'active', revoke: 'revoked', compromise: 'compromised' },
  active: { replace: 'retiring', retire: 'retired', revoke: 'revoked', compromise: 'compromised' },
  retiring: { retire: 'retired', revoke: 'revoked', compromise: 'compromised' },
  retired: { revoke: 'revoked', compromise: 'compromised' },
  // That a key was in other hands is sometimes found out after it was given up.
  revoked: { compromise: 'compromised' },
  compromised: {},
};

/** The state after a step; undefined when it cannot be taken. */
export function stateAfter(state: SignerState, step: SignerStep): SignerState | undefined {
  return TRANSITIONS[state][step];
}

const IN_FORCE: ReadonlySet<SignerState> = new Set(['active', 'retiring']);

/** Whether a signer of that state may sign, its time permitting. */
export function isInForce(state: SignerState): boolean {
  return IN_FORCE.has(state);
}
