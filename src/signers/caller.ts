import type { Actor } from '../audit/event.ts';
import { NotFound } from '../http/problem.ts';
import { SignerRegistryError } from './errors.ts';
import type { SignerRow } from './store.ts';
import type { SignerState } from './table.ts';
import { type SignerStep, stateAfter } from './transitions.ts';

/** Who changes the registry, and in which request. */
export interface SignerCaller extends Actor {
  readonly traceId?: string | undefined;
}

/** Without what else is known of the caller. */
export function actorOf({ id, kind }: SignerCaller): Actor {
  return { id, kind };
}

/** NotFound unless there is such a signer. */
export function found(row: SignerRow | undefined): SignerRow {
  if (row === undefined) throw new NotFound();
  return row;
}

/** The state that a step leads to. Throws SIGNER_STATE_CONFLICT when it cannot be taken. */
export function requireStep({ state }: SignerRow, step: SignerStep): SignerState {
  const after = stateAfter(state, step);
  if (after !== undefined) return after;
  throw conflict(`the signer is ${state}`);
}

export function conflict(message: string): SignerRegistryError {
  return new SignerRegistryError('SIGNER_STATE_CONFLICT', message);
}
