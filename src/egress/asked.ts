import type { IncomingMessage } from 'node:http';

import type { EgressCode } from './decide.ts';
import { EgressFailure } from './failure.ts';
import { hasOneReading } from './head.ts';
import type { EgressSession } from './session.ts';
import { readAbsolute, readAuthority, sameTarget, shownTarget, type Target, type TargetProblem } from './target.ts';

export interface Asked {
  readonly target: Target;
  readonly path: string;
}

/** What CONNECT asks for. Throws EgressFailure, recorded. */
export function readConnect(request: IncomingMessage, session: EgressSession): Target {
  const target = knownTarget(request, session, readAuthority(request.url ?? '', undefined));
  requireHost(request, session, target, target.port);
  // A tunnel has no body before it is one.
  const { headers } = request;
  if ('content-length' in headers || 'transfer-encoding' in headers) throw denied(session, target, 'BAD_REQUEST');
  return target;
}

/** What an absolute-form request asks for. Throws EgressFailure, recorded. */
export function readForward(request: IncomingMessage, session: EgressSession): Asked {
  const asked = readAbsolute(request.url ?? '');
  const target = knownTarget(request, session, typeof asked === 'string' ? asked : asked.target);
  requireHost(request, session, target, 80);
  // TRACE would show what the proxy sends.
  if (request.method === 'TRACE' || typeof asked === 'string') throw denied(session, target, 'BAD_REQUEST');
  return asked;
}

function knownTarget(request: IncomingMessage, session: EgressSession, target: Target | TargetProblem): Target {
  if (typeof target !== 'string') return target;
  throw denied(session, { host: shownTarget(request.url ?? ''), port: 0 }, target);
}

/** One Host that is the target (RFC 9112 §3.2.2 says to ignore another; who sends one is up to something). */
function requireHost(request: IncomingMessage, session: EgressSession, target: Target, defaultPort: number): void {
  if (!hasOneReading(request)) throw denied(session, target, 'BAD_REQUEST');
  const { host } = request.headers;
  // Of CONNECT the parser does not ask for one (RFC 9112 §3.2); clients of HTTP/1.0 send none.
  if (host === undefined && request.httpVersion !== '1.0') throw denied(session, target, 'BAD_REQUEST');
  const named = host === undefined ? target : readAuthority(host, defaultPort);
  if (typeof named === 'string' || !sameTarget(named, target)) throw denied(session, target, 'HOST_MISMATCH');
}

function denied(session: EgressSession, { host, port }: Target, code: EgressCode): EgressFailure {
  session.deny(host, port, code);
  return new EgressFailure(code);
}
