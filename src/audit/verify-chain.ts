import type { Static } from '@sinclair/typebox';

import { AuditError } from './errors.ts';
import type { VerificationSchema } from './schema.ts';
import { verifyInThread } from './verify/verification-thread.ts';

/** Verifies one chain as `castellan audit verify --chain` does, in a thread of its own. */
export type VerifyChain = (chain: string) => Promise<Static<typeof VerificationSchema>>;

/** One verification at a time: it reads a whole chain, and requests must not wait for it. OVERLOADED while one runs. */
export function createVerifyChain(databaseUrl: string): VerifyChain {
  let running = false;
  return async (chain) => {
    if (running) throw new AuditError('OVERLOADED', 'a verification is under way');
    running = true;
    try {
      const request = { databaseUrl, chain, from: 1, workers: 1, exportPath: undefined, signersPath: undefined };
      const { verdict, strength, events, signatures, findings } = await verifyInThread(request, () => undefined);
      return { ok: verdict === 'ok', strength, events, signatures, findings: [...findings] };
    } catch (error) {
      throw error instanceof AuditError ? error : new AuditError('AUDIT_UNAVAILABLE', 'the log cannot be read', error);
    } finally {
      running = false;
    }
  };
}
