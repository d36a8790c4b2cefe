import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Clock } from './clock.ts';
import { CodedError } from './errors.ts';

/** Ms a check may take before it counts as failed. */
const CHECK_DEADLINE = 1_000;
/** Ms an outcome is kept: probes of many watchers cost one round. */
const CACHE_MS = 1_000;

/** What a check says of itself; all of it is shown. */
export interface CheckNote {
  readonly ok: boolean;
  /** A code. */
  readonly detail: string;
  readonly check?: string;
  readonly observed?: string;
  readonly fix?: string;
}

/** Resolves when the dependency is there, or with what it says. An error's code is shown, its message never. */
type ReadinessCheck = (signal: AbortSignal) => Promise<CheckNote | undefined>;

export interface OpsOptions {
  readonly checks: Readonly<Record<string, ReadinessCheck>>;
  readonly readMetrics: () => Promise<{ readonly contentType: string; readonly text: string }>;
  /** Asked anew on every probe: a draining service is not ready from that moment on. */
  readonly isDraining: () => boolean;
  readonly clock: Clock;
}

export interface OpsServer {
  /** Resolves with the base URL. */
  listen(address: { readonly host: string; readonly port: number }): Promise<string>;
  close(): Promise<void>;
}

interface Readiness {
  readonly status: 'ready' | 'unavailable';
  readonly checks: Readonly<Record<string, { readonly ok: boolean } & Partial<CheckNote>>>;
}

/** The listener for kubelet and Prometheus: `/livez`, `/readyz`, `/metrics` and nothing else. */
export function createOpsServer(options: OpsOptions): OpsServer {
  const readiness = cachedReadiness(options);
  const server = createServer(
    { requestTimeout: 5_000, headersTimeout: 5_000, keepAliveTimeout: 5_000 },
    (request, response) => {
      route(request, response).catch(() => respond(response, 500, 'text/plain', 'error\n'));
    },
  );

  async function route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.method === 'GET' || request.method === 'HEAD' ? request.url?.split('?')[0] : undefined;
    if (path === '/livez') return respond(response, 200, 'text/plain', 'ok\n');
    if (path === '/metrics') {
      const { contentType, text } = await options.readMetrics();
      return respond(response, 200, contentType, text);
    }
    if (path !== '/readyz') return respond(response, 404, 'text/plain', 'not found\n');
    const state = await readiness();
    respond(response, state.status === 'ready' ? 200 : 503, 'application/json', JSON.stringify(state));
  }

  return {
    listen: ({ host, port }) =>
      new Promise((resolve, reject) => {
        server.once('error', reject);
        server.listen(port, host, () => {
          const address = server.address();
          const shown = host.includes(':') ? `[${host}]` : host;
          resolve(`http://${shown}:${typeof address === 'object' && address !== null ? address.port : port}`);
        });
      }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function respond(response: ServerResponse, status: number, contentType: string, body: string): void {
  response.writeHead(status, { 'content-type': contentType, 'cache-control': 'no-store' }).end(body);
}

function cachedReadiness(options: OpsOptions): () => Promise<Readiness> {
  let cached: { readonly at: number; readonly state: Promise<Readiness> } | undefined;
  return async () => {
    if (options.isDraining()) return { status: 'unavailable', checks: { draining: { ok: false } } };
    const now = options.clock();
    if (cached === undefined || Math.abs(now - cached.at) >= CACHE_MS)
      cached = { at: now, state: runChecks(options.checks) };
    return cached.state;
  };
}

async function runChecks(checks: OpsOptions['checks']): Promise<Readiness> {
  const outcomes = await Promise.all(
    Object.entries(checks).map(async ([name, check]) => [name, await runCheck(check)] as const),
  );
  const ready = outcomes.every(([, outcome]) => outcome.ok);
  return { status: ready ? 'ready' : 'unavailable', checks: Object.fromEntries(outcomes) };
}

async function runCheck(check: ReadinessCheck): Promise<{ readonly ok: boolean } & Partial<CheckNote>> {
  const abort = new AbortController();
  const { promise: late, resolve } = Promise.withResolvers<'late'>();
  const timer = setTimeout(() => {
    resolve('late');
    abort.abort();
  }, CHECK_DEADLINE);
  try {
    const outcome = await Promise.race([check(abort.signal), late]);
    if (outcome === 'late') return { ok: false, detail: 'TIMEOUT' };
    return outcome ?? { ok: true };
  } catch (error) {
    return { ok: false, detail: error instanceof CodedError ? error.code : 'FAILED' };
  } finally {
    clearTimeout(timer);
  }
}
