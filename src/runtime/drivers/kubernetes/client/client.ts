import { setTimeout as wait } from 'node:timers/promises';
import type { Static, TSchema } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { type Dispatcher, request } from 'undici';

import { type Clock, systemClock } from '../../../../clock.ts';
import type { Access } from './access.ts';
import { type Connection, createConnections } from './connection.ts';
import { ClusterError, codeOfStatus, isClusterError } from './errors.ts';
import { type Exec, type ExecRequest, openExec } from './exec.ts';
import { Status } from './resources.ts';

/** ms for one answer with its body. */
const DEADLINE_MS = 15_000;
/** Bytes of one answer: a page of 500 pods has about 5 MB. */
const MAX_ANSWER = 33_554_432;
const MAX_PROBLEM = 65_536;
const ATTEMPTS = 4;
const MAX_WAIT_MS = 10_000;
const FIRST_WAIT_MS = 100;

export interface Call {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Below the origin, such as /api/v1/namespaces/x/pods. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly body?: unknown;
  readonly contentType?: string;
  readonly signal?: AbortSignal | undefined;
}

export interface ClusterClient {
  /** The answer, checked. Rejects with ClusterError, or with the reason of the signal. */
  call<T extends TSchema>(schema: T, call: Call): Promise<Static<T>>;
  /**
   * An answer that goes on: a watch, or a log. Its caller reads it to the end or ends it by the signal; it rejects with
   * ClusterError when it breaks off.
   */
  stream(call: Call & { readonly signal: AbortSignal }): Promise<AsyncIterable<Buffer>>;
  /** Rejects with ClusterError when the command was not started. */
  exec(request: ExecRequest): Promise<Exec>;
  /** Ends what is under way. */
  close(): Promise<void>;
}

/** Asks the API server of a cluster, again where asking again can do no harm. */
export function createClusterClient(access: Access, clock: Clock = systemClock): ClusterClient {
  const connections = createConnections(access, clock);

  async function once(call: Call, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    const answer = await send(await connections.current(), call, signal);
    if (answer.statusCode !== 401) return good(call, answer);
    // The token was replaced, or the certificate.
    await answer.body.dump();
    return good(call, await send(await connections.current(true), call, signal));
  }

  return {
    call: async (schema, call) => {
      for (let attempt = 1; ; attempt += 1) {
        const signal = AbortSignal.any([AbortSignal.timeout(DEADLINE_MS), ...(call.signal ? [call.signal] : [])]);
        try {
          const { body } = await once(call, signal);
          return checked(schema, await bounded(body, MAX_ANSWER), call);
        } catch (error) {
          call.signal?.throwIfAborted();
          const failure = asClusterError(error, call);
          const pause = attempt < ATTEMPTS ? pauseBefore(failure, call, attempt) : undefined;
          if (pause === undefined) throw failure;
          await wait(pause, undefined, { signal: call.signal }).catch(() => call.signal?.throwIfAborted());
        }
      }
    },
    stream: async (call) => {
      try {
        const { body } = await once(call, call.signal);
        return toldOn(body, call);
      } catch (error) {
        throw asClusterError(error, call);
      }
    },
    exec: async (request) => {
      try {
        return await openExec(await connections.current(), request);
      } catch (error) {
        throw await reasonOf(error, request);
      }
    },
    close: connections.close,
  };

  /** A refused upgrade does not say why; the same without an upgrade does. */
  async function reasonOf(error: unknown, { path, query }: ExecRequest): Promise<ClusterError> {
    const call = { method: 'GET', path: `${path}?${query}` } as const;
    const signal = AbortSignal.timeout(DEADLINE_MS);
    const said = await once(call, signal).then(undefined, (cause: unknown) => asClusterError(cause, call));
    // 400: all was well but the missing upgrade.
    return said instanceof ClusterError && said.code !== 'INVALID' ? said : asClusterError(error, call);
  }
}

function send(connection: Connection, call: Call, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
  const url = new URL(call.path, connection.origin);
  for (const [name, value] of Object.entries(call.query ?? {})) {
    if (value !== undefined) url.searchParams.set(name, String(value));
  }
  return request(url, {
    method: call.method,
    dispatcher: connection.dispatcher,
    signal,
    headers: {
      accept: 'application/json',
      'user-agent': 'castellan',
      ...(connection.authorization === undefined ? {} : { authorization: connection.authorization }),
      ...(call.body === undefined ? {} : { 'content-type': call.contentType ?? 'application/json' }),
    },
    ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
  });
}

async function good(call: Call, answer: Dispatcher.ResponseData): Promise<Dispatcher.ResponseData> {
  if (answer.statusCode >= 200 && answer.statusCode < 300) return answer;
  const text = await bounded(answer.body, MAX_PROBLEM).catch(() => '');
  const status = statusOf(text);
  const said = status?.message ?? `status ${answer.statusCode}`;
  throw new ClusterError(codeOfStatus(answer.statusCode), `${call.method} ${call.path}: ${said}`, {
    reason: status?.reason,
    retryAfterMs: secondsOf(answer.headers['retry-after']),
  });
}

function statusOf(text: string): Static<typeof Status> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return Value.Check(Status, value) ? value : undefined;
  } catch {
    // A proxy in between writes something else; the number of the status is enough.
    return undefined;
  }
}

/** A connection that breaks while something is told is as much of an answer that does not come. */
async function* toldOn(body: AsyncIterable<Buffer>, call: Call): AsyncGenerator<Buffer> {
  try {
    yield* body;
  } catch (error) {
    call.signal?.throwIfAborted();
    throw asClusterError(error, call);
  }
}

async function bounded(body: AsyncIterable<Buffer>, limit: number): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  // Leaving the loop ends the connection.
  for await (const chunk of body) {
    size += chunk.length;
    if (size > limit) throw new ClusterError('NO_ANSWER', 'the answer is too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function checked<T extends TSchema>(schema: T, text: string, call: Call): Static<T> {
  try {
    const value: unknown = JSON.parse(text);
    if (Value.Check(schema, value)) return value;
  } catch (cause) {
    throw new ClusterError('NO_ANSWER', `${call.method} ${call.path}: the answer is no JSON`, { cause });
  }
  throw new ClusterError('NO_ANSWER', `${call.method} ${call.path}: the answer is not what an API server answers`);
}

/** Undefined: not again. What was refused for now was not done; what may have been done is repeated where that changes nothing. */
function pauseBefore(error: ClusterError, { method }: Call, attempt: number): number | undefined {
  const refused =
    error.code === 'TOO_MANY_REQUESTS' || (error.code === 'SERVER_ERROR' && error.retryAfterMs !== undefined);
  const repeatable = method === 'GET' || method === 'DELETE';
  if (!refused && !(repeatable && isClusterError(error, 'SERVER_ERROR', 'NO_ANSWER'))) return undefined;
  const backoff = FIRST_WAIT_MS * 2 ** attempt * (0.5 + Math.random() / 2);
  return Math.min(error.retryAfterMs ?? backoff, MAX_WAIT_MS);
}

function secondsOf(header: string | string[] | undefined): number | undefined {
  return typeof header === 'string' && /^\d{1,6}$/.test(header) ? Number(header) * 1000 : undefined;
}

function asClusterError(error: unknown, call: Pick<Call, 'method' | 'path'>): ClusterError {
  if (error instanceof ClusterError) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'failed';
  return new ClusterError('NO_ANSWER', `${call.method} ${call.path}: no answer of the API server (${code})`, {
    cause: error,
  });
}
