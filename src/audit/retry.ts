import { AuditError, StaleRead } from './errors.ts';

/** Rounds before a use case on a row that never holds still is refused. */
const MAX_ROUNDS = 5;

/** Runs a use case (read, decide, commit) again while its commit finds that what it had read was changed. */
export async function retryStale<T>(useCase: () => Promise<T>): Promise<T> {
  for (let round = 1; ; round += 1) {
    try {
      return await useCase();
    } catch (error) {
      if (!(error instanceof StaleRead)) throw error;
      if (round === MAX_ROUNDS) throw new AuditError('OVERLOADED', error.message, error);
    }
  }
}
