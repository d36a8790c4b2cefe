import { randomBytes, randomUUID } from 'node:crypto';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';

import { makeDevelopmentCertificates } from '../../src/certs/development.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/storage/embedded/server.ts';
import { provisionLogins } from '../../src/storage/logins.ts';
import { migrate } from '../../src/storage/migrator.ts';
import { type Child, type ChildOptions, startChild } from './child.ts';
import { HttpConnection, requestBytes, type Target } from './http-connection.ts';
import { serveSettings, withoutLimits } from './service-settings.ts';
import { preloadStatements } from './statement-profile.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const SERVE = fileURLToPath(new URL('../serve-program.ts', import.meta.url));
const BASELINE = fileURLToPath(new URL('../baseline-server.ts', import.meta.url));

export interface Server {
  readonly target: Target;
  readonly pid: number;
}

export interface Service extends Server {
  /** http://…, without TLS. */
  readonly ops: string;
  /** The WebSocket of its inspector, when it is to be profiled. */
  readonly inspector: string | undefined;
}

/** One that is asked by itself, and ended by who started it. */
export interface OwnService extends Service {
  /** As World.call. */
  call(method: string, path: string, body?: unknown, status?: number): Promise<unknown>;
  stop(): Promise<void>;
}

export interface ServiceManner {
  /** With the rate limits that it has by default; otherwise none gets in the way. */
  readonly limited?: boolean;
  /** Whether it has an inspector; otherwise as the main service. */
  readonly inspected?: boolean;
}

/** The service and what it is compared with, on one PostgreSQL of their own. */
export interface World {
  readonly home: string;
  readonly certsDir: string;
  /** As the superuser. */
  readonly databaseUrl: string;
  /** The service's logins, and the superuser's as BENCH_DATABASE_URL. */
  readonly databaseEnv: Readonly<Record<string, string>>;
  readonly postmaster: number;
  readonly db: pg.Client;
  readonly service: Service;
  /** The bare Fastify with the same TLS, started when it is first asked for. */
  baseline(): Promise<Server>;
  /** One request to the service as kernel-admin; throws unless it is answered with `status`. */
  call(method: string, path: string, body?: unknown, status?: number): Promise<unknown>;
  /** A program that ends with this world at the latest. */
  start(program: Omit<ChildOptions, 'log'> & { readonly log?: string }): Promise<Child>;
  /** A server of the bench's own with the certificates of this world, in the environment as BENCH_CERTS_DIR. */
  startProgram(path: string, env: Readonly<Record<string, string>>): Promise<Server>;
  /** Another service on the same database, with settings of its own. */
  startService(
    settings: Readonly<Record<string, string>>,
    how?: ServiceManner,
  ): Promise<Service & { stop(): Promise<void> }>;
  /** Another one, with the settings of `serve` and those given: its keys and where they are. */
  startServe(settings: Readonly<Record<string, string>>): Promise<OwnService>;
  close(): Promise<void>;
}

/** Starts PostgreSQL (with fsync, as in production) and the service on it. */
export async function openWorld(options: { inspect: boolean }): Promise<World> {
  const cleanup: (() => Promise<unknown>)[] = [];
  const close = once(async () => {
    for (const step of cleanup.reverse()) await step().catch((error: unknown) => console.error(error));
  });
  try {
    return await open(options, cleanup, close);
  } catch (error) {
    await close();
    throw error;
  }
}

async function open(
  options: { inspect: boolean },
  cleanup: (() => Promise<unknown>)[],
  close: () => Promise<void>,
): Promise<World> {
  const home = await mkdtemp(join(tmpdir(), 'castellan-bench-'));
  cleanup.push(() => rm(home, { recursive: true, force: true }));
  // The account of the database server walks through it.
  await chmod(home, 0o755);
  const certsDir = join(home, 'certs');
  await makeDevelopmentCertificates(certsDir, { trustDomain: 'castellan.dev' });
  const tls = await clientTls(certsDir);

  const postgres = await startPostgres(join(home, 'postgres'), options.inspect);
  cleanup.push(() => postgres.stop());
  const database = await prepareDatabase(postgres.superuserUrl);
  const db = new pg.Client({ connectionString: postgres.superuserUrl, application_name: 'castellan-bench' });
  await db.connect();
  cleanup.push(() => db.end());

  const start: World['start'] = async (program) => {
    const child = await startChild({ log: join(home, 'children.log'), ...program });
    cleanup.push(() => child.stop());
    return child;
  };
  const startService = async (settings: Readonly<Record<string, string>>, how: ServiceManner = {}) => {
    const env = {
      ...database,
      CASTELLAN_DATA_DIR: join(home, 'data'),
      CASTELLAN_CERTS_DIR: certsDir,
      CASTELLAN_API_PORT: '0',
      CASTELLAN_OPS_PORT: '0',
      ...(how.limited === true ? {} : withoutLimits()),
      ...settings,
    };
    const inspectorLog = join(home, `service-${randomUUID()}.log`);
    const isInspected = how.inspected ?? options.inspect;
    const inspect = isInspected ? ['--inspect=127.0.0.1:0'] : [];
    const child = await start({ args: [...inspect, MAIN, 'dev', '--json'], env, log: inspectorLog });
    const { api, ops } = readyLine(child.ready);
    const inspector = isInspected ? await inspectorIn(inspectorLog) : undefined;
    return { target: targetOf(api, tls), pid: child.pid, ops, inspector, stop: child.stop };
  };
  const service = await startService({});
  const startServe = async (settings: Readonly<Record<string, string>>): Promise<OwnService> => {
    const child = await start({ args: [SERVE], env: { ...serveSettings(database, certsDir), ...settings } });
    const { api, ops } = readyLine(child.ready);
    const target = targetOf(api, tls);
    const connection = new HttpConnection(target);
    const stop = async () => {
      connection.close();
      await child.stop();
    };
    return { target, pid: child.pid, ops, inspector: undefined, call: caller(connection, target), stop };
  };
  const startProgram: World['startProgram'] = async (path, env) => {
    const child = await start({ args: [path], env: { BENCH_CERTS_DIR: certsDir, ...env } });
    return { target: targetOf(readyLine(child.ready).api, tls), pid: child.pid };
  };
  const baseline = once(() => startProgram(BASELINE, { BENCH_DATABASE_URL: postgres.superuserUrl }));
  const connection = new HttpConnection(service.target);
  cleanup.push(async () => connection.close());

  return {
    home,
    certsDir,
    databaseUrl: postgres.superuserUrl,
    databaseEnv: { ...database, BENCH_DATABASE_URL: postgres.superuserUrl },
    postmaster: postgres.pid,
    db,
    service,
    baseline,
    start,
    startProgram,
    startService,
    startServe,
    close,
    call: caller(connection, service.target),
  };
}

function caller(connection: HttpConnection, target: Target): World['call'] {
  return async (method, path, body, status = 200) => {
    const answer = await connection.send(requestBytes(target, method, path, body));
    const text = answer.body.toString('utf8');
    if (answer.status !== status) throw new Error(`${method} ${path}: ${answer.status} ${text.slice(0, 500)}`);
    return JSON.parse(text);
  };
}

/** With fsync. For profiles it is started twice, for statistics of statements have to be asked for before a start. */
async function startPostgres(dataDir: string, withStatistics: boolean): Promise<EmbeddedPostgres> {
  const start = () => startEmbeddedPostgres({ dataDir, logger: { warn: () => undefined } });
  const server = await start();
  if (!withStatistics) return server;
  const db = new pg.Client({ connectionString: server.superuserUrl });
  try {
    await db.connect();
    await preloadStatements(db);
  } finally {
    await db.end();
    await server.stop();
  }
  return start();
}

/** Migrates, and makes the two logins; what the service has to know of it. */
async function prepareDatabase(superuserUrl: string): Promise<Readonly<Record<string, string>>> {
  await migrate(superuserUrl);
  const login = (user: string) => ({ user, password: randomBytes(24).toString('base64url') });
  const [app, system] = [login('castellan_app_login'), login('castellan_system_login')];
  await provisionLogins(superuserUrl, { app, system });
  const url = ({ user, password }: typeof app) =>
    Object.assign(new URL(superuserUrl), { username: user, password }).href;
  return {
    DATABASE_URL: url(app),
    CASTELLAN_DATABASE_SYSTEM_URL: url(system),
    CASTELLAN_DATABASE_OWNER_URL: superuserUrl,
  };
}

async function clientTls(certsDir: string) {
  const pem = (name: string) => readFile(join(certsDir, name), 'utf8');
  return { ca: await pem('ca.crt'), cert: await pem('kernel-admin.crt'), key: await pem('kernel-admin.key') };
}

function readyLine(line: unknown): { api: string; ops: string } {
  if (typeof line !== 'object' || line === null || !('api' in line)) throw new Error('not a ready line');
  return { api: String(line.api), ops: 'ops' in line ? String(line.ops) : '' };
}

/** The service logs on stderr, where the inspector says its address before anything else. */
async function inspectorIn(log: string): Promise<string> {
  const url = /ws:\/\/\S+/.exec(await readFile(log, 'utf8'))?.[0];
  if (url === undefined) throw new Error(`no inspector in ${log}`);
  return url;
}

function targetOf(url: string, tls: NonNullable<Target['tls']>): Target {
  return { host: '127.0.0.1', port: Number(new URL(url).port), tls };
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}
