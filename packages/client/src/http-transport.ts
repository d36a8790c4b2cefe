import { Agent, buildConnector, type Dispatcher } from 'undici';
import type { TlsMaterial } from './tls-material.ts';
import { type SendOptions, type Transport, TransportError, type WireAnswer, type WireRequest } from './transport.ts';

export interface HttpTransportOptions {
  readonly verify: boolean;
  readonly connectTimeoutMs: number;
  readonly connections: number;
}

export interface HttpTransport extends Transport {
  /** New requests go over new connections; those under way finish on the old ones. */
  use(material: TlsMaterial): void;
}

/** HTTP/1.1 over TLS. */
export function createHttpTransport(material: TlsMaterial, options: HttpTransportOptions): HttpTransport {
  let agent = createAgent(material, options);
  let closing: Promise<void> | undefined;
  return {
    // Chosen and used in one turn of the event loop, so that no request meets an agent that is closing.
    send: (request, sending) =>
      closing !== undefined
        ? Promise.reject(new TransportError('closed', 'the client is closed'))
        : send(agent, request, sending),
    use: (next) => {
      const old = agent;
      agent = createAgent(next, options);
      discard(old.close());
    },
    close: () => {
      closing ??= agent.close();
      return closing;
    },
  };
}

function createAgent(material: TlsMaterial, options: HttpTransportOptions): Agent {
  const connect = buildConnector({
    ...material,
    // Said outright: left out, NODE_TLS_REJECT_UNAUTHORIZED=0 in the environment would decide.
    rejectUnauthorized: options.verify,
    timeout: options.connectTimeoutMs,
    allowH2: false,
    // A resumed session would go on with the certificate that was replaced.
    maxCachedSessions: 0,
  });
  // The limit of each request ends it; the timers of undici are coarse.
  return new Agent({ connect, connections: options.connections, allowH2: false, headersTimeout: 0, bodyTimeout: 0 });
}

function send(agent: Agent, request: WireRequest, options: SendOptions): Promise<WireAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<WireAnswer>();
  const { signal, maxAnswerBytes } = options;
  const chunks: Buffer[] = [];
  let controller: Dispatcher.DispatchController | undefined;
  let head: Pick<WireAnswer, 'status' | 'headers'> | undefined;
  let size = 0;

  const fail = (error: TransportError): void => {
    signal.removeEventListener('abort', abort);
    reject(error);
    if (controller?.aborted === false) controller.abort(error);
  };
  const abort = (): void => fail(new TransportError(controller === undefined ? 'unsent' : 'lost', 'aborted'));
  const handler: Dispatcher.DispatchHandler = {
    onRequestStart: (started) => {
      controller = started;
      // Given up while it waited for a connection: never send it.
      if (signal.aborted) started.abort(new TransportError('unsent', 'aborted'));
    },
    onResponseStart: (_, status, headers) => {
      // 1xx come before the answer.
      if (status >= 200) head = { status, headers };
    },
    onResponseData: (_, chunk) => {
      size += chunk.length;
      if (size > maxAnswerBytes)
        fail(new TransportError('too-large', `the answer has more than ${maxAnswerBytes} bytes`));
      else chunks.push(chunk);
    },
    onResponseEnd: () => {
      signal.removeEventListener('abort', abort);
      if (head === undefined) reject(new TransportError('lost', 'the answer has no head'));
      else resolve({ ...head, body: Buffer.concat(chunks) });
    },
    onResponseError: (_, error) => fail(faultOf(error, controller !== undefined)),
  };
  if (signal.aborted) {
    abort();
    return promise;
  }
  signal.addEventListener('abort', abort, { once: true });
  const { method, path, headers, body } = request;
  agent.dispatch({ origin: options.server, method, path, headers: { ...headers }, body: body ?? null }, handler);
  return promise;
}

/** Codes of OpenSSL and Node for a certificate that one side does not take; waiting mends none of them. */
const UNTRUSTED =
  /^(?:ERR_TLS_CERT_ALTNAME_INVALID|ERR_SSL_.*(?:CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED|UNSUPPORTED_PROTOCOL|PROTOCOL_VERSION).*|.*CERT.*|UNABLE_TO_.*|SELF_SIGNED.*|HOSTNAME_MISMATCH|INVALID_CA|PATH_LENGTH_EXCEEDED)$/;

function faultOf(error: Error, started: boolean): TransportError {
  if (error instanceof TransportError) return error;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  // With TLS 1.3 the refusal of our certificate comes after the first bytes of the request; it was not read.
  if (UNTRUSTED.test(code)) return new TransportError('untrusted', `TLS was refused (${code})`, error);
  const what = started ? 'the connection ended before the whole answer' : 'no connection';
  return new TransportError(started ? 'lost' : 'unsent', code === '' ? what : `${what} (${code})`, error);
}

function discard(promise: Promise<unknown>): void {
  promise.catch(() => undefined);
}
