import { SignerError } from '../../../crypto/signer.ts';

/** One at a time, in order of arrival. */
export interface Turns {
  /** Runs `work` when those before are done. Rejects with SignerError if `signal` fires before its turn has come. */
  inTurn<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T>;
}

/** The line is kept here and not in the token: who gave up must not cost a signature that nobody waits for. */
export function createTurns(): Turns {
  const waiting = new Set<() => void>();
  let busy = false;

  function enter(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.reject(gaveUp(signal));
    if (!busy) {
      busy = true;
      return Promise.resolve();
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const go = () => {
      signal.removeEventListener('abort', leave);
      resolve();
    };
    const leave = () => {
      waiting.delete(go);
      reject(gaveUp(signal));
    };
    waiting.add(go);
    signal.addEventListener('abort', leave, { once: true });
    return promise;
  }

  function next(): void {
    const [go] = waiting;
    if (go === undefined) {
      busy = false;
      return;
    }
    waiting.delete(go);
    go();
  }

  return {
    async inTurn(signal, work) {
      await enter(signal);
      try {
        return await work();
      } finally {
        next();
      }
    },
  };
}

function gaveUp(signal: AbortSignal): SignerError {
  return new SignerError('signing was given up while it waited for the token', { cause: signal.reason });
}
