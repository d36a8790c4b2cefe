import { answers } from './answers.ts';
import type { Evidence, Violation } from './evidence.ts';
import { replay } from './replay.ts';
import { bounds, ends, forward, secrets, tenants } from './rest.ts';
import { chains, state } from './state.ts';

/** Every invariant of the service over what a run has left behind; empty when all of them hold. */
export function check(evidence: Evidence): Violation[] {
  const replayed = replay(evidence.facts);
  return [
    ...chains(evidence),
    ...state(evidence, replayed),
    ...replayed.violations,
    ...answers(evidence),
    ...tenants(evidence),
    ...forward(evidence),
    ...bounds(evidence),
    ...secrets(evidence),
    ...ends(evidence),
  ];
}
