import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import { meter, reach, watchIdle } from './exchange.ts';
import { codeOf, EgressFailure, statusOf } from './failure.ts';
import { headProblem } from './head.ts';
import { guardServerName } from './server-name.ts';
import type { EgressSession } from './session.ts';
import { readAuthority, sameTarget, type Target } from './target.ts';

/** One CONNECT (RFC 9110 §9.3.6), from its head to the end of both directions. Never rejects. */
export async function tunnel(request: IncomingMessage, client: Duplex, head: Buffer, session: EgressSession) {
  const gone = new AbortController();
  client.once('close', () => gone.abort());
  const place = session.enter(() => client.destroy());
  try {
    const target = readTarget(request, session, place === undefined);
    const { upstream, decision } = await reach(session, target, gone.signal);
    const end = (failure: EgressFailure) => {
      client.destroy(failure);
      upstream.destroy(failure);
    };
    const idle = watchIdle(session.limits, () => end(new EgressFailure('TIMEOUT')));
    try {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      if (head.length > 0) client.unshift(head);
      const out = [guardServerName(target.host), meter(decision, 'out', idle.seen)] as const;
      await Promise.all([
        pipeline(client, ...out, upstream).then(idle.halfOpen),
        pipeline(upstream, meter(decision, 'in', idle.seen), client).then(idle.halfOpen),
      ]);
      decision.end();
    } catch (error) {
      const code = error instanceof EgressFailure ? error.code : undefined;
      decision.end(code, code === 'SNI_MISMATCH' ? 'denied' : undefined);
    } finally {
      idle.stop();
      client.destroy();
      upstream.destroy();
    }
  } catch (error) {
    refuse(client, statusOf(codeOf(error)), codeOf(error));
  } finally {
    place?.leave();
  }
}

function readTarget(request: IncomingMessage, session: EgressSession, full: boolean): Target {
  const target = readAuthority(request.url ?? '', undefined);
  const deny = (code: EgressFailure['code'], { host, port }: Target) => {
    session.deny(host, port, code);
    return new EgressFailure(code);
  };
  if (typeof target === 'string') throw deny(target, { host: shown(request.url ?? ''), port: 0 });
  if (full) throw deny('TOO_MANY_CONNECTIONS', target);
  const { host } = request.headers;
  const named = host === undefined ? target : readAuthority(host, target.port);
  if (typeof named === 'string' || !sameTarget(named, target)) throw deny('HOST_MISMATCH', target);
  // A tunnel has no body before it is one.
  if (headProblem(request) || 'content-length' in request.headers || 'transfer-encoding' in request.headers)
    throw deny('BAD_TARGET', target);
  return target;
}

/** What was asked for, as far as it goes into a record. */
export function shown(text: string): string {
  return text.replaceAll(/[^\x21-\x7e]/g, '?').slice(0, 253);
}

/** The last that is written to a client. */
export function refuse(client: Duplex, status: number, code: string): void {
  if (client.destroyed || !client.writable) return void client.destroy();
  const body = `${code}\n`;
  const head = [`HTTP/1.1 ${status} Refused`, 'content-type: text/plain', `content-length: ${body.length}`];
  client.end(`${[...head, 'connection: close'].join('\r\n')}\r\n\r\n${body}`, () => client.destroy());
}
