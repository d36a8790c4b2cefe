import { constants } from 'node:crypto';
import type { IncomingMessage, Server } from 'node:http';
import type { Server as HttpsServer, ServerOptions } from 'node:https';
import type { Socket } from 'node:net';
import type { SecureContextOptions } from 'node:tls';
import { type FastifyBaseLogger, type FastifyHttpsOptions, LogController } from 'fastify';
import { answerClientError, awaitsAnswer, trackConnections, trackExchanges } from './client-errors.ts';
import { sendProblem } from './problem.ts';
import { requestId } from './request-context.ts';

// Node has every one of these off or in minutes; the figures are those of the security page, in milliseconds.
/** Whole request, from its first byte to its last. */
const REQUEST_TIMEOUT = 15_000;
const HEADERS_TIMEOUT = 5_000;
/** How often Node looks for connections past their limit. */
const CONNECTION_CHECK = 1_000;
const KEEP_ALIVE_TIMEOUT = 10_000;
/** A client that takes nothing of its answer for so long is not reading it. */
const STALL_TIMEOUT = 30_000;
/** A route with a limit of its own says `handlerTimeout`. */
const HANDLER_TIMEOUT = 10_000;
const HANDSHAKE_TIMEOUT = 5_000;

/** Bytes; hotreload says `bodyLimit`. */
const BODY_LIMIT = 1_048_576;
const MAX_HEADER_BYTES = 16_384;
/** Sockets, each about 50 kB with TLS. */
const MAX_CONNECTIONS = 4_096;
/** Ends a connection now and then, so that load spreads over replicas. */
export const MAX_REQUESTS_PER_SOCKET = 10_000;
/** Characters of one path parameter; longest is a signer id. */
const MAX_PARAM_LENGTH = 256;

export interface TlsMaterial {
  /** PEM: server key and certificate chain, and the authorities that client certificates must come from. */
  readonly key: string;
  readonly cert: string;
  readonly clientCa: string;
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
  /** False only with DEV_SKIP_MTLS: a connection without a certificate then gets as far as the identity plugin. */
  readonly requireCertificate: boolean;
}

export interface ServerOptionsInput {
  readonly tls: TlsMaterial;
  readonly random: () => number;
  readonly loggerInstance?: FastifyBaseLogger;
}

/** What of it new handshakes are made with: for `setSecureContext` too, which replaces every one of these. */
export function contextOptions(tls: Pick<TlsMaterial, 'key' | 'cert' | 'minVersion'> & { readonly clientCa?: string }) {
  return {
    key: tls.key,
    cert: tls.cert,
    ...(tls.clientCa === undefined ? {} : { ca: tls.clientCa }),
    minVersion: tls.minVersion,
    // A resumed session brings back a certificate that expired or was revoked in between.
    secureOptions: constants.SSL_OP_NO_TICKET,
  } satisfies SecureContextOptions;
}

/** Options of node:https that refuse strangers at the handshake and make session resumption impossible. */
function tlsOptions(tls: TlsMaterial): ServerOptions {
  return {
    ...contextOptions(tls),
    requestCert: true,
    rejectUnauthorized: tls.requireCertificate,
    ...LISTENER_OPTIONS,
  };
}

/** Options of every listener of the API. */
const LISTENER_OPTIONS = {
  handshakeTimeout: HANDSHAKE_TIMEOUT,
  requestTimeout: REQUEST_TIMEOUT,
  headersTimeout: HEADERS_TIMEOUT,
  connectionsCheckingInterval: CONNECTION_CHECK,
  keepAliveTimeout: KEEP_ALIVE_TIMEOUT,
  maxHeaderSize: MAX_HEADER_BYTES,
  insecureHTTPParser: false,
  // Checked in refusals.ts, where the answer is a problem document.
  requireHostHeader: false,
} as const satisfies ServerOptions;

/** Options of a listener that asks for no certificate: whoever comes there brings a token with each request. */
export function withoutCertificates(tls: Pick<TlsMaterial, 'key' | 'cert' | 'minVersion'>): ServerOptions {
  return { ...contextOptions(tls), requestCert: false, ...LISTENER_OPTIONS };
}

/** The options of the API listener. Bodies are never coerced, completed or thinned out by validation. */
export function fastifyOptions(input: ServerOptionsInput): FastifyHttpsOptions<HttpsServer> {
  return {
    https: tlsOptions(input.tls),
    ...(input.loggerInstance === undefined ? {} : { loggerInstance: input.loggerInstance }),
    // One line per request, when it is answered (access-log.ts), instead of Fastify's two.
    logController: new LogController({ disableRequestLogging: true }),
    requestTimeout: REQUEST_TIMEOUT,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT,
    handlerTimeout: HANDLER_TIMEOUT,
    maxRequestsPerSocket: MAX_REQUESTS_PER_SOCKET,
    bodyLimit: BODY_LIMIT,
    return503OnClosing: false,
    forceCloseConnections: false,
    trustProxy: false,
    requestIdHeader: false,
    genReqId: (request: IncomingMessage) => requestId(request),
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH, ignoreTrailingSlash: false, caseSensitive: true },
    ajv: {
      customOptions: { removeAdditional: false, coerceTypes: false, useDefaults: false, allErrors: true },
    },
    // Errors of the router itself: no hook has run, so what every answer has is set here.
    frameworkErrors: (error, request, reply) => {
      reply.header('x-request-id', request.id).header('x-content-type-options', 'nosniff');
      reply.header('connection', 'close');
      sendProblem(error, request, reply, input.random);
    },
    clientErrorHandler: answerClientError,
  };
}

/** Limits that exist only on the server object; call once, before listen. */
export function applyServerLimits(server: Server | HttpsServer): void {
  applySocketLimits(server);
  trackExchanges(server);
}

/** Those of them that concern connections, for a server whose requests get to another one. */
export function applySocketLimits(server: Server | HttpsServer): void {
  server.maxConnections = MAX_CONNECTIONS;
  // No silent cut: refusals.ts refuses above 100, and maxHeaderSize bounds what can arrive.
  server.maxHeadersCount = 0;
  trackConnections(server);
  server.timeout = STALL_TIMEOUT;
  // A listener keeps Node from closing by itself, and the time between two requests ends here too.
  server.on('timeout', (socket: Socket) => {
    if (!awaitsAnswer(socket)) socket.destroy();
  });
  // Node itself would answer 417, to whoever it is and without a problem document: refusals.ts refuses it.
  server.on('checkExpectation', (request, response) => server.emit('request', request, response));
}
