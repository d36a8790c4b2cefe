import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { IncomingHttpHeaders } from 'node:http';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import type { JobName } from '../../src/background.ts';
import { makeDevelopmentCertificates } from '../../src/certs/development.ts';
import type { Clock } from '../../src/clock.ts';
import { NO_KEY_SERVICES } from '../../src/config/signing.ts';
import { defaultLimits, defaultRuntime, type ServiceConfig } from '../../src/config.ts';
import type { Isolation } from '../../src/runtime/isolation.ts';
import { type Service, startService } from '../../src/service.ts';
import { generateEd25519 } from '../../src/signers/drivers/local/ed25519.ts';
import { type TestDatabase, testDatabase } from './database.ts';
import type { Tap } from './postgres.ts';

const CERTS_VARIABLE = 'TESTING_CERTS_DIR';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** The parsed body; an empty object when there is none. */
  // biome-ignore lint/suspicious/noExplicitAny: tests read whatever the contract promises
  readonly body: any;
}

export interface TestService {
  readonly service: Service;
  readonly database: TestDatabase;
  readonly certsDir: string;
  /** One request over mutual TLS as one of the development identities; `body` is sent as JSON unless it is text. */
  call(who: string, method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
}

export interface TestServiceOptions {
  readonly database?: TestDatabase;
  readonly clock?: Clock;
  /** Keys and certificates of another service on the same database: a second replica. */
  readonly replicaOf?: TestService;
  /** Certificates that the test has made before. */
  readonly certsDir?: string;
  readonly limits?: Partial<ServiceConfig['limits']>;
  /** By default the rules of a test. */
  readonly environment?: ServiceConfig['environment'];
  /** Keys that are not files of the test's own. */
  readonly signers?: Partial<ServiceConfig['signers']>;
  /** Work that is not to be seen in what a test counts. */
  readonly withoutJobs?: readonly JobName[];
  /** By default event. */
  readonly auditSigningMode?: ServiceConfig['auditSigningMode'];
  readonly identity?: Partial<ServiceConfig['identity']>;
  readonly manifests?: ServiceConfig['manifests'];
  /** By default nothing is run here. */
  readonly runtime?: Partial<ServiceConfig['runtime']>;
  /** One that the test scripts. */
  readonly isolation?: Isolation;
  readonly api?: Partial<ServiceConfig['api']>;
  /** Checkpoints, with a key of their own; the rounds are the test's to make unless an interval is given. */
  readonly checkpoints?: Partial<Omit<NonNullable<ServiceConfig['checkpoints']>, 'signer'>>;
}

type Keys = ServiceConfig['signers'] & { readonly checkpoint: ServiceConfig['signers']['audit'] };

/** Of a file that is run alone. */
const certsOf = new WeakMap<Tap, string>();
const keysOf = new WeakMap<TestDatabase, Keys>();

/** Certificates are made once per run; making them is the slowest part of a start. */
export async function testCertificates(t: Tap): Promise<string> {
  const given = process.env[CERTS_VARIABLE] ?? certsOf.get(t);
  if (given !== undefined) return given;
  const dir = await mkdtemp(join(tmpdir(), 'castellan-test-certs-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  await makeDevelopmentCertificates(dir, { trustDomain: 'castellan.dev' });
  certsOf.set(t, dir);
  return dir;
}

/** The whole service on a database of the test's own, over real TLS on a free port, with workspaces `demo` and `other`. */
export async function testService(t: Tap, options: TestServiceOptions = {}): Promise<TestService> {
  const database = options.replicaOf?.database ?? options.database ?? (await testDatabase(t));
  const certsDir = options.replicaOf?.certsDir ?? options.certsDir ?? (await testCertificates(t));
  const signers = keysOf.get(database) ?? (await newSigners(t));
  keysOf.set(database, signers);
  const config = serviceConfig(database, certsDir, { ...signers, ...options.signers });
  const checkpoints = options.checkpoints && {
    origin: 'castellan.test/log',
    intervalMs: 3_600_000,
    sinks: { file: undefined, s3: undefined, webhook: undefined, witnesses: [] },
    ...options.checkpoints,
    signer: signers.checkpoint,
  };
  const { environment = 'test', auditSigningMode = 'event' } = options;
  const limited = {
    ...config,
    environment,
    auditSigningMode,
    limits: { ...config.limits, ...options.limits },
    identity: { ...config.identity, ...options.identity },
    manifests: options.manifests ?? config.manifests,
    runtime: { ...config.runtime, ...options.runtime },
    api: { ...config.api, ...options.api },
    checkpoints,
  };
  const service = await startService(limited, {
    logger: pino({ level: 'silent' }),
    withoutJobs: options.withoutJobs ?? [],
    ...(options.clock === undefined ? {} : { clock: options.clock }),
    ...(options.isolation === undefined ? {} : { isolation: options.isolation }),
  });
  t.teardown(() => service.close());
  await service.ensureWorkspace('demo');
  await service.ensureWorkspace('other');
  return { service, database, certsDir, call: caller(service.apiUrl, certsDir) };
}

function serviceConfig(database: TestDatabase, certsDir: string, signers: ServiceConfig['signers']): ServiceConfig {
  return {
    environment: 'test',
    logLevel: 'silent',
    api: {
      host: '127.0.0.1',
      port: 0,
      certFile: join(certsDir, 'server.crt'),
      keyFile: join(certsDir, 'server.key'),
      clientCaFile: join(certsDir, 'ca.crt'),
      minVersion: 'TLSv1.3',
    },
    ops: { host: '127.0.0.1', port: 0 },
    database: { appUrl: database.appUrl, systemUrl: database.systemUrl, poolSize: 8 },
    identity: {
      mapFile: join(certsDir, 'identity-map.json'),
      trustDomain: 'castellan.dev',
      allowCn: false,
      skipMtls: false,
      reloadMs: 100,
      revocation: { serials: [], serialsFile: undefined, crlFiles: [], ocsp: 'off', ocspUrl: undefined },
      proxies: [],
      breakGlassMaxMinutes: 60,
    },
    manifests: { audience: 'castellan' },
    signers,
    // The test's own work is on the service's event loop: its lateness says nothing here.
    limits: { ...defaultLimits(), maxWaitMs: 10_000, latencyMs: 10_000, eventLoopDelayMs: 600_000 },
    runtime: { ...defaultRuntime(), driver: 'off' },
    auditSigningMode: 'event',
    proofTtlDays: 90,
    opaBin: undefined,
    searchPath: undefined,
  };
}

async function newSigners(t: Tap): Promise<Keys> {
  const dir = await mkdtemp(join(tmpdir(), 'castellan-test-keys-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  const signer = async (signerId: string) => {
    const keyFile = join(dir, `${signerId}.pem`);
    await writeFile(keyFile, generateEd25519().privateKeyPem, { mode: 0o600 });
    return { source: 'local' as const, signerId, algorithm: 'Ed25519' as const, keyFile, hmacSecret: undefined };
  };
  return {
    audit: await signer('audit-1'),
    proof: await signer('proof-1'),
    checkpoint: await signer('checkpoint-1'),
    services: NO_KEY_SERVICES,
  };
}

/** One request per connection over mutual TLS, as one of the identities in `certsDir`. */
export function caller(api: string, certsDir: string): TestService['call'] {
  const pem = (name: string) => readFileSync(join(certsDir, name));
  return (who, method, path, body, headers = {}) => {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
    const outgoing = request(new URL(path, api), {
      method,
      ca: pem('ca.crt'),
      cert: pem(`${who}.crt`),
      key: pem(`${who}.key`),
      agent: false,
      headers: {
        ...(text === undefined ? {} : { 'content-type': 'application/json', ...lengthOf(method, text) }),
        ...headers,
      },
    });
    outgoing.on('error', reject);
    outgoing.on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const received = Buffer.concat(chunks).toString('utf8');
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text: received,
          body: parsed(received),
        });
      });
    });
    outgoing.end(text);
    return promise;
  };
}

function parsed(text: string): unknown {
  try {
    return text === '' ? {} : JSON.parse(text);
  } catch {
    return text;
  }
}

/** Node frames no body of a DELETE by itself. */
function lengthOf(method: string, text: string): Record<string, string> {
  return method === 'DELETE' ? { 'content-length': String(Buffer.byteLength(text)) } : {};
}
