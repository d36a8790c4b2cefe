import type { Static } from '@sinclair/typebox';

import { createChainPlaces } from './chain-places.ts';
import { AuditError } from './errors.ts';
import type { VerificationSchema } from './schema.ts';
import { verifyInThread } from './verify/verification-thread.ts';

/** ms after which nobody waits for the answer any more: the time the routes allow. */
const DEADLINE = 120_000;

/**
 * Verifies one chain as `castellan audit verify --chain` does, in a thread of its own, which is ended at the deadline or
 * when `signal` aborts; AUDIT_UNAVAILABLE then.
 */
export type VerifyChain = (chain: string, signal?: AbortSignal) => Promise<Static<typeof VerificationSchema>>;

/** Two verifications at a time and one of each chain, each with two threads; else OVERLOADED. */
export function createVerifyChain(databaseUrl: string, deadline = DEADLINE): VerifyChain {
  const takePlace = createChainPlaces('a verification', 'other verifications');
  return async (chain, signal) => {
    const release = takePlace(chain);
    const late = AbortSignal.timeout(deadline);
    const ended = signal === undefined ? late : AbortSignal.any([late, signal]);
    try {
      const request = { databaseUrl, chain, from: 1, workers: 1, exportPath: undefined, signersPath: undefined };
      const { verdict, strength, events, signatures, findings } = await verifyInThread(request, () => undefined, ended);
      return { ok: verdict === 'ok', strength, events, signatures, findings: [...findings] };
    } catch (error) {
      throw error instanceof AuditError ? error : new AuditError('AUDIT_UNAVAILABLE', 'the log cannot be read', error);
    } finally {
      release();
    }
  };
}
