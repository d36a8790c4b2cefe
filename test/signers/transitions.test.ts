import t from 'tap';

import type { SignerState } from '../../src/signers/table.ts';
import { isInForce, type SignerStep, stateAfter } from '../../src/signers/transitions.ts';

const STATES: readonly SignerState[] = ['pending', 'active', 'retiring', 'retired', 'revoked', 'compromised'];

/** The state after each step, in the order of STATES; `-`: refused. */
const EXPECTED: Readonly<Record<SignerStep, readonly (SignerState | '-')[]>> = {
  activate: ['active', '-', '-', '-', '-', '-'],
  replace: ['-', 'retiring', '-', '-', '-', '-'],
  retire: ['-', 'retired', 'retired', '-', '-', '-'],
  revoke: ['revoked', 'revoked', 'revoked', 'revoked', '-', '-'],
  compromise: ['compromised', 'compromised', 'compromised', 'compromised', 'compromised', '-'],
};
const STEPS = ['activate', 'replace', 'retire', 'revoke', 'compromise'] as const;

t.test('every step from every state', async (t) => {
  for (const step of STEPS) {
    t.same(
      STATES.map((state) => stateAfter(state, step) ?? '-'),
      EXPECTED[step],
      step,
    );
  }
});

t.test('it signs while it is active or on its way out, and what lost its trust never does again', async (t) => {
  t.same(STATES.filter(isInForce), ['active', 'retiring']);
  for (const lost of ['revoked', 'compromised'] as const) {
    const reached = new Set<SignerState>([lost]);
    for (const state of reached) for (const step of STEPS) reached.add(stateAfter(state, step) ?? state);
    t.notOk([...reached].some(isInForce), lost);
  }
});
