import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { request } from 'node:https';

import { CodedError } from '../errors.ts';
import { type CommandIo, UsageError } from './command.ts';

/** ms for one request; the service gives up on its own work long before. */
const DEADLINE = 60_000;
/** Bytes of an answer; what is longer is not from the service. */
const MAX_ANSWER = 16_777_216;

/** Options of every command that asks the service. */
export const SERVICE_OPTIONS = {
  url: { type: 'string' },
  cert: { type: 'string' },
  key: { type: 'string' },
  ca: { type: 'string' },
} as const;

export const SERVICE_USAGE = `  --url <https url>     the service (default: EXTERNAL_ORCHESTRATOR_URL)
  --cert <file>         client certificate in PEM, with --key <file>; or a bearer token in EXTERNAL_ORCHESTRATOR_API_KEY,
                        EXTERNAL_ORCHESTRATOR_API_KEY_FILE
  --ca <file>           authorities of the service's certificate in PEM (default: those of Node)
`;

export type ServiceValues = { readonly [name in keyof typeof SERVICE_OPTIONS]?: string | undefined };

export type ServiceErrorCode =
  | 'NO_ANSWER' // no connection, no trust, or not an answer of the service
  | 'REFUSED'; // the service said no; the message has the problem's code

export class ServiceError extends CodedError {
  readonly code: ServiceErrorCode;

  constructor(code: ServiceErrorCode, message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

export interface Target {
  readonly origin: string;
  readonly token: string | undefined;
  readonly tls: { readonly cert?: Buffer; readonly key?: Buffer; readonly ca?: Buffer };
}

/** Where the service is and how to show who asks. Throws UsageError, or the error of a file that cannot be read. */
export function targetOf(values: ServiceValues, env: CommandIo['env']): Target {
  const url = values.url ?? env['EXTERNAL_ORCHESTRATOR_URL']?.split(',')[0]?.trim() ?? '';
  if (url === '') throw new UsageError('no service: give --url or set EXTERNAL_ORCHESTRATOR_URL');
  const { cert, key, ca } = values;
  if ((cert === undefined) !== (key === undefined)) throw new UsageError('--cert and --key go together');
  const token = tokenOf(env);
  if (cert === undefined && token === undefined) {
    throw new UsageError('nothing says who asks: give --cert and --key, or set EXTERNAL_ORCHESTRATOR_API_KEY_FILE');
  }
  const tls = {
    ...(cert === undefined ? {} : { cert: readFileSync(cert) }),
    ...(key === undefined ? {} : { key: readFileSync(key) }),
    ...(ca === undefined ? {} : { ca: readFileSync(ca) }),
  };
  return { origin: originOf(url), token, tls };
}

/** The body of a good answer. Throws ServiceError. */
export async function callService(target: Target, path: string, body: object): Promise<unknown> {
  const { status, text } = await send(target, path, JSON.stringify(body));
  const answer = parsed(text);
  if (status >= 200 && status < 300 && answer !== undefined) return answer;
  const { code, detail } = isRecord(answer) ? answer : {};
  if (typeof code !== 'string') throw new ServiceError('NO_ANSWER', `not an answer of the service (status ${status})`);
  throw new ServiceError('REFUSED', typeof detail === 'string' ? `${code}: ${detail}` : code);
}

function send(target: Target, path: string, body: string): Promise<{ status: number; text: string }> {
  const { origin, token, tls } = target;
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>();
  const fail = (cause: unknown) => {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'failed';
    reject(new ServiceError('NO_ANSWER', `no answer from ${origin} (${code}); whether it was done is not known`));
  };
  const headers = {
    'content-type': 'application/json',
    accept: 'application/json, application/problem+json',
    'idempotency-key': randomUUID(),
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
  };
  try {
    const outgoing = request(new URL(path, origin), {
      ...tls,
      method: 'POST',
      agent: false,
      headers,
      // Said outright: left out, NODE_TLS_REJECT_UNAUTHORIZED=0 in the environment would decide.
      rejectUnauthorized: true,
      signal: AbortSignal.timeout(DEADLINE),
    });
    outgoing.on('error', fail);
    outgoing.on('response', (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > MAX_ANSWER) outgoing.destroy(new Error('the answer is too large'));
        else chunks.push(chunk);
      });
      response.on('error', fail);
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() }));
    });
    outgoing.end(body);
  } catch (cause) {
    fail(cause); // PEM that TLS does not take
  }
  return promise;
}

/** The URL is not repeated: it may hold a password. */
function originOf(text: string): string {
  const url = URL.parse(text);
  if (url === null) throw new UsageError('the URL of the service is none');
  if (url.protocol !== 'https:') throw new UsageError('the URL of the service is not https');
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '' || url.pathname !== '/') {
    throw new UsageError('the URL of the service may have a host and a port, nothing else');
  }
  return url.origin;
}

function tokenOf(env: CommandIo['env']): string | undefined {
  const name = 'EXTERNAL_ORCHESTRATOR_API_KEY';
  const [direct, file] = [env[name], env[`${name}_FILE`]];
  if (direct !== undefined && file !== undefined) throw new UsageError(`${name} and ${name}_FILE are both set`);
  const token = (file === undefined ? direct : readFileSync(file, 'utf8'))?.trim();
  if (token === undefined || token === '') return undefined;
  if (!/^[!-~]+$/.test(token)) throw new UsageError(`${name} is not the value of a header`);
  return token;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
