import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import { readConnect } from './asked.ts';
import { meter, reach, watchIdle } from './exchange.ts';
import { EgressFailure, statusOf } from './failure.ts';
import { refuse } from './refuse.ts';
import { guardServerName } from './server-name.ts';
import type { EgressSession, OpenDecision } from './session.ts';

/** One CONNECT (RFC 9110 §9.3.6), from its head to the end of both directions. Never rejects. */
export async function tunnel(request: IncomingMessage, client: Duplex, head: Buffer, session: EgressSession) {
  const gone = new AbortController();
  client.once('close', () => gone.abort());
  const place = session.enter(() => client.destroy());
  try {
    const target = readConnect(request, session);
    const { upstream, decision } = await reach(session, target, place, gone.signal);
    client.write('HTTP/1.1 200 Connection established\r\n\r\n');
    if (head.length > 0) client.unshift(head);
    const failure = await passBoth(client, upstream, { host: target.host, decision, session });
    decision.end(failure, failure === 'SNI_MISMATCH' ? 'denied' : undefined);
  } catch (error) {
    const code = error instanceof EgressFailure ? error.code : 'UNREACHABLE';
    refuse(client, statusOf(code), code);
  } finally {
    place?.leave();
  }
}

/** Until both directions have ended, or one of them fails; then nothing is left open. Resolves with why we ended it. */
async function passBoth(
  client: Duplex,
  upstream: Socket,
  parts: { host: string; decision: OpenDecision; session: EgressSession },
): Promise<EgressFailure['code'] | undefined> {
  const { host, decision, session } = parts;
  const end = new AbortController();
  const { signal } = end;
  const idle = watchIdle(session.limits, () => end.abort(new EgressFailure('TIMEOUT')));
  const out = meter(decision, 'out', idle.seen);
  const into = meter(decision, 'in', idle.seen);
  try {
    await Promise.all([
      pipeline(client, guardServerName(host), out, upstream, { signal }).then(idle.halfOpen),
      pipeline(upstream, into, client, { signal }).then(idle.halfOpen),
    ]);
    return undefined;
  } catch (error) {
    const reason: unknown = signal.aborted ? signal.reason : error;
    return reason instanceof EgressFailure ? reason.code : undefined;
  } finally {
    idle.stop();
    client.destroy();
    upstream.destroy();
  }
}
