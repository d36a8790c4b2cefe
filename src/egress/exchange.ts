import { Transform } from 'node:stream';

import { decide } from './decide.ts';
import { dial } from './dial.ts';
import { EgressFailure } from './failure.ts';
import type { EgressSession, OpenDecision, Place } from './session.ts';
import type { Target } from './target.ts';

/** Decides about a target and connects to it. Rejects with EgressFailure, recorded. */
export async function reach(session: EgressSession, target: Target, place: Place | undefined, ended: AbortSignal) {
  const { host, port } = target;
  if (place === undefined) {
    session.deny(host, port, 'TOO_MANY_CONNECTIONS');
    throw new EgressFailure('TOO_MANY_CONNECTIONS');
  }
  const timeout = AbortSignal.timeout(session.limits.connectMs);
  const verdict = await inTime(decide(target, session.allows, session.rules), timeout, ended).catch((error) => {
    session.deny(host, port, 'TIMEOUT');
    throw error;
  });
  if (!verdict.allowed) {
    session.deny(host, port, verdict.code);
    throw new EgressFailure(verdict.code);
  }
  const decision = session.allow(host, port);
  try {
    const upstream = await dial(verdict.addresses, port, session.rules, AbortSignal.any([timeout, ended]));
    return { upstream, decision };
  } catch (error) {
    const failure = timeout.aborted ? new EgressFailure('TIMEOUT') : new EgressFailure('UNREACHABLE', error);
    decision.end(failure.code);
    throw failure;
  }
}

/** A question to a name server cannot be taken back; its answer then counts no more. */
async function inTime<T>(work: Promise<T>, timeout: AbortSignal, ended: AbortSignal): Promise<T> {
  const signal = AbortSignal.any([timeout, ended]);
  const { promise, reject } = Promise.withResolvers<never>();
  const stop = () => reject(new EgressFailure('TIMEOUT'));
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** Passes bytes on and counts them; what is too much ends the stream. */
export function meter(decision: OpenDecision, direction: 'in' | 'out', seen: () => void): Transform {
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      seen();
      if (decision.count(direction, chunk.length)) done(null, chunk);
      else done(new EgressFailure('BYTE_LIMIT'));
    },
  });
}

/** Calls `end` when nothing was seen for as long as the present limit says. */
export function watchIdle(limits: EgressSession['limits'], end: () => void) {
  let timer = setTimeout(end, limits.idleMs).unref();
  return {
    seen: () => {
      timer.refresh();
    },
    halfOpen: () => {
      clearTimeout(timer);
      timer = setTimeout(end, limits.halfOpenMs).unref();
    },
    stop: () => clearTimeout(timer),
  };
}
