import { randomBytes } from 'node:crypto';
import { link, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';

import { closeInheritedDescriptors } from '../boot/descriptors.ts';
import { makeDevelopmentCertificates } from '../certs/development.ts';
import { NO_KEY_SERVICES } from '../config/signing.ts';
import { type DevConfig, loadDevConfig, type ServiceConfig } from '../config.ts';
import { createLogger, type Logger } from '../logger.ts';
import { startService } from '../service.ts';
import { generateEd25519 } from '../signers/drivers/local/ed25519.ts';
import { startEmbeddedPostgres } from '../storage/embedded/server.ts';
import { provisionLogins } from '../storage/logins.ts';
import { migrate } from '../storage/migrator.ts';
import { type Command, type CommandIo, EXIT, guarded, parseOptions } from './command.ts';
import { stopSignal } from './signals.ts';
import { walkthrough } from './walkthrough.ts';

const USAGE = `Usage: castellan dev [--ephemeral] [--json]

Runs everything on this machine: an embedded PostgreSQL (unless DATABASE_URL is set), generated certificates and keys,
the default policy and the workspace \`demo\`. --ephemeral forgets all data at the end; --json prints one line when ready.
`;

const SAMPLE_WORKSPACES = ['demo', 'other'] as const;

export const devCommand: Command = {
  name: 'dev',
  summary: 'run with an embedded database, generated certificates and keys (what npm start does)',
  run: (argv, io) => guarded(io, USAGE, () => dev(argv, io), EXIT.failed),
};

/** Resources that are given back in reverse order, whatever happens in between. */
type Cleanup = (() => Promise<unknown>)[];

async function dev(argv: readonly string[], io: CommandIo): Promise<number> {
  const { values } = parseOptions(argv, { ephemeral: { type: 'boolean' }, json: { type: 'boolean' } });
  if (values.help === true) {
    io.stdout.write(USAGE);
    return EXIT.ok;
  }
  const config = loadDevConfig(io.env);
  closeInheritedDescriptors();
  const logger = createLogger(config.service.logLevel);
  const stopped = stopSignal(logger);
  const cleanup: Cleanup = [];
  try {
    const dataDir = await openDataDir(config, values.ephemeral === true, cleanup);
    const database = await openDatabase(config, dataDir, values.ephemeral === true, logger, cleanup);
    if (stopped.requested) return EXIT.ok;
    // The keys live as long as the database: one that outlives this run knows them as its signers.
    const keysDir = join(config.databaseUrl === undefined ? dataDir : config.dataDir, 'keys');
    const service = await startService(await serviceConfig(config, keysDir, database), { logger });
    cleanup.push(() => service.close());
    for (const workspaceId of SAMPLE_WORKSPACES) await service.ensureWorkspace(workspaceId);
    if (stopped.requested) return EXIT.ok;

    const ready = {
      ready: true,
      api: service.apiUrl,
      ops: service.opsUrl,
      ...(service.humanUrl === undefined ? {} : { human: service.humanUrl }),
      databaseUrl: database.lookUrl,
      certsDir: config.certsDir,
      workspaceId: SAMPLE_WORKSPACES[0],
      pid: process.pid,
    };
    await writeFile(join(config.dataDir, 'running.json'), JSON.stringify(ready), { mode: 0o600 });
    cleanup.push(() => rm(join(config.dataDir, 'running.json'), { force: true }));
    io.stdout.write(values.json === true ? `${JSON.stringify(ready)}\n` : announcement(ready));
    await stopped.signal;
    service.drain();
    return EXIT.ok;
  } finally {
    await cleanUp(cleanup);
  }
}

/** A step that fails does not keep the ones before it from being undone: a database left running is an orphan. */
async function cleanUp(steps: Cleanup): Promise<void> {
  const failures: unknown[] = [];
  for (const step of steps.reverse()) await step().catch((error: unknown) => failures.push(error));
  if (failures.length > 0) throw failures[0];
}

async function openDataDir(config: DevConfig, ephemeral: boolean, cleanup: Cleanup): Promise<string> {
  // Also when ephemeral: running.json tells the other scripts where this service is.
  await mkdir(config.dataDir, { recursive: true, mode: 0o755 });
  if (!ephemeral) return config.dataDir;
  const dir = await mkdtemp(join(tmpdir(), 'castellan-dev-'));
  cleanup.push(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

interface DevDatabase {
  readonly appUrl: string;
  readonly systemUrl: string;
  /** For people and the tamper walk: sees every row. */
  readonly lookUrl: string;
}

async function openDatabase(
  config: DevConfig,
  dataDir: string,
  ephemeral: boolean,
  logger: Logger,
  cleanup: Cleanup,
): Promise<DevDatabase> {
  if (config.databaseUrl !== undefined) {
    const ownerUrl = config.ownerUrl ?? config.databaseUrl;
    await migrate(ownerUrl);
    return { appUrl: config.databaseUrl, systemUrl: config.systemUrl ?? ownerUrl, lookUrl: ownerUrl };
  }
  const server = await startEmbeddedPostgres({
    logger,
    ...(ephemeral ? { ephemeral: true as const } : { dataDir: join(dataDir, 'postgres') }),
  });
  cleanup.push(() => server.stop());
  await migrate(server.superuserUrl);
  const app = { user: 'castellan_app_login', password: randomBytes(24).toString('base64url') };
  const system = { user: 'castellan_system_login', password: randomBytes(24).toString('base64url') };
  await provisionLogins(server.superuserUrl, { app, system });
  return {
    appUrl: withLogin(server.superuserUrl, app),
    systemUrl: withLogin(server.superuserUrl, system),
    lookUrl: server.superuserUrl,
  };
}

function withLogin(url: string, login: { user: string; password: string }): string {
  const target = new URL(url);
  target.username = login.user;
  target.password = login.password;
  return target.href;
}

async function serviceConfig(config: DevConfig, keys: string, database: DevDatabase): Promise<ServiceConfig> {
  await makeDevelopmentCertificates(config.certsDir, { trustDomain: config.service.identity.trustDomain });
  await mkdir(keys, { recursive: true, mode: 0o700 });
  const { auditSignerId, proofSignerId, checkpointSignerId, checkpoints, proofAlgorithm, poolSize, ...common } =
    config.service;
  return {
    ...common,
    api: {
      ...config.service.api,
      certFile: join(config.certsDir, 'server.crt'),
      keyFile: join(config.certsDir, 'server.key'),
      clientCaFile: join(config.certsDir, 'ca.crt'),
    },
    database: { appUrl: database.appUrl, systemUrl: database.systemUrl, poolSize },
    checkpoints: {
      ...checkpoints,
      signer: {
        source: 'local',
        signerId: checkpointSignerId,
        algorithm: 'Ed25519',
        keyFile: await keyFile(join(keys, 'checkpoint.pem'), newEd25519),
        hmacSecret: undefined,
      },
    },
    identity: { ...config.service.identity, mapFile: join(config.certsDir, 'identity-map.json') },
    signers: {
      audit: {
        source: 'local',
        signerId: auditSignerId,
        algorithm: 'Ed25519',
        keyFile: await keyFile(join(keys, 'audit.pem'), newEd25519),
        hmacSecret: undefined,
      },
      proof:
        proofAlgorithm === 'Ed25519'
          ? {
              source: 'local',
              signerId: proofSignerId,
              algorithm: proofAlgorithm,
              keyFile: await keyFile(join(keys, 'proof.pem'), newEd25519),
              hmacSecret: undefined,
            }
          : {
              source: 'local',
              signerId: proofSignerId,
              algorithm: proofAlgorithm,
              keyFile: undefined,
              hmacSecret: await readFile(await keyFile(join(keys, 'proof.secret'), newSecret), 'utf8'),
            },
      services: NO_KEY_SERVICES,
    },
  };
}

/** The file with a key, made when it is not there; never overwritten, for old signatures depend on it. */
async function keyFile(path: string, make: () => string): Promise<string> {
  // Whole before it has its name: another instance that boots at the same time may read it at once.
  const draft = `${path}.${process.pid}`;
  await writeFile(draft, make(), { mode: 0o600 });
  try {
    await link(draft, path);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  } finally {
    await rm(draft, { force: true });
  }
  return path;
}

function newEd25519(): string {
  return generateEd25519().privateKeyPem;
}

function newSecret(): string {
  return randomBytes(32).toString('base64');
}

interface Ready {
  readonly api: string;
  readonly ops: string;
  readonly human?: string;
  readonly databaseUrl: string;
  readonly certsDir: string;
  readonly workspaceId: string;
}

function announcement(ready: Ready) {
  const certsDir = relative(process.cwd(), ready.certsDir) || '.';
  const human = ready.human === undefined ? '' : `\n  humans    ${ready.human}   (tokens, no certificate)`;
  return `
Castellan is ready.
  API       ${ready.api}   (mutual TLS; certificates in ${certsDir}/)
  ops       ${ready.ops}   (/livez /readyz /metrics)${human}
  database  ${ready.databaseUrl}

A walk to follow in a second shell, from this directory:

${walkthrough({ api: ready.api, certsDir, workspaceId: ready.workspaceId })}
Ctrl-C stops everything.
`;
}
