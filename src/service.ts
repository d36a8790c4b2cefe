import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import type { FastifyInstance } from 'fastify';

import packageJson from '../package.json' with { type: 'json' };
import { type AppParts, buildApp } from './app.ts';
import { backgroundJobs, type JobName } from './background.ts';
import { type Clock, systemClock } from './clock.ts';
import { ConfigError, type ServiceConfig } from './config.ts';
import { SignerError } from './crypto/signer.ts';
import { acceptEmbedded } from './embedded.ts';
import { CodedError } from './errors.ts';
import type { Failpoints } from './failpoints.ts';
import { assembleIdentity } from './identity/assembly.ts';
import { IdentityMapInvalid, loadIdentityMap } from './identity/identity-map.ts';
import { parseTrustBundle } from './identity/trust-bundle.ts';
import type { PeriodicRunner } from './jobs/periodic.ts';
import { createKnownLocks } from './locks/known.ts';
import type { Logger } from './logger.ts';
import { readKernelFiles } from './manifests/kernel-api.ts';
import { createMetrics } from './metrics/metrics.ts';
import { createOpsServer, type OpsServer } from './ops.ts';
import { openPolicyParts } from './policy/parts.ts';
import { readinessChecks, requireSchema } from './readiness.ts';
import { SignerMismatch } from './signers/errors.ts';
import { openSigners } from './signers/open.ts';
import type { KeyedSigner } from './signers/verified-signer.ts';
import { checkLogin } from './storage/login-check.ts';
import { createStorage } from './storage/storage.ts';
import { parseVerifierKey } from './transparency/note-key.ts';
import { WorkspaceExists } from './workspaces/errors.ts';

const DAY_MS = 86_400_000;
/** Connections kept free of audit transactions, so that reads and readiness always find one. */
const RESERVED_CONNECTIONS = 4;
const BOOT = { id: 'castellan', kind: 'system', traceId: '0'.repeat(32) } as const;

export interface Service {
  readonly apiUrl: string;
  readonly opsUrl: string;
  readonly app: FastifyInstance;
  /** Creates the workspace unless it exists. */
  ensureWorkspace(workspaceId: string): Promise<void>;
  /** Not ready from now on; connections close after the answer under way. */
  drain(): void;
  close(): Promise<void>;
}

/**
 * Boots in the order that must hold before anything listens: files, database and schema, logins, signers registered and
 * tried, policy engine tried. Throws ConfigError for what an operator must mend.
 */
export async function startService(
  config: ServiceConfig,
  options: {
    logger: Logger;
    clock?: Clock;
    checkLogins?: boolean;
    failpoints?: Failpoints;
    /** For tests that count what a request leaves. */
    withoutJobs?: readonly JobName[];
  },
): Promise<Service> {
  const { logger, clock = systemClock } = options;
  const { identity, database } = config;
  const { identityMap, tls, signers } = await readFiles(config);
  if (options.checkLogins === true) await requireSafeLogins(config, logger);

  const certificateEnds = Date.parse(new X509Certificate(tls.cert).validTo);
  const storage = createStorage({ ...database, logger });
  const metrics = createMetrics({ clock });
  metrics.watchPool('app', () => storage.stats().app);
  metrics.watchPool('system', () => storage.stats().system);
  metrics.watchCertificate('server', certificateEnds);
  const policy = await orClose([storage], () =>
    openPolicyParts({ opaBin: config.opaBin, searchPath: config.searchPath }),
  );
  const knownLocks = createKnownLocks({ storage, clock });
  const trustBundle = parseTrustBundle(tls.clientCa);
  const who = assembleIdentity({
    config: identity,
    identityMap: () => identityMap,
    trustBundle: () => trustBundle,
    clientCaFile: config.api.clientCaFile,
    locks: knownLocks,
    clock,
  });
  const app = await orClose([storage, policy.engine], () =>
    buildApp({
      version: packageJson.version,
      logger,
      clock,
      random: Math.random,
      tls,
      authenticate: acceptEmbedded(who.authenticate),
      storage,
      knownLocks,
      databaseUrl: database.appUrl,
      auditTransactions: Math.max(1, database.poolSize - RESERVED_CONNECTIONS),
      auditSigningMode: config.auditSigningMode,
      metrics,
      limits: config.limits,
      auditSigner: signers.audit,
      proofSigner: signers.proof,
      checkpoints: checkpointParts(config, signers.checkpoint),
      proofTtlMs: config.proofTtlDays * DAY_MS,
      breakGlassMaxMinutes: identity.breakGlassMaxMinutes,
      manifests: config.manifests,
      policy,
      failpoints: options.failpoints,
    }),
  );
  if (config.checkpoints === undefined) logger.warn({}, 'no checkpoint key: no checkpoints are made here');
  const { withoutJobs = [] } = options;
  const jobs = backgroundJobs(app, {
    checkpointsMs: config.checkpoints?.intervalMs,
    clock,
    metrics,
    logger,
    withoutJobs,
  });
  const ops = createOpsServer({
    checks: readinessChecks(app, clock),
    readMetrics: metrics.read,
    isDraining: () => app.isDraining,
    clock,
  });
  try {
    await requireSchema(storage);
    await knownLocks.refresh();
    await admitSigners(app, config, logger);
    await app.signers.trial();
    await app.policy.ready();
    const opsUrl = await ops.listen(config.ops);
    const apiUrl = await app.listen(config.api);
    jobs.start();
    return runningService({ app, ops, jobs, opsUrl, apiUrl });
  } catch (error) {
    await ops.close();
    await app.close();
    throw error;
  }
}

/** Under production rules no key is trusted that nobody has announced. */
async function admitSigners(app: FastifyInstance, { environment }: ServiceConfig, logger: Logger): Promise<void> {
  const trustsUnlisted = (signerId: string) =>
    logger.warn({ signerId }, 'a key that nobody has announced is trusted; in production it needs a rotation');
  try {
    await app.signers.ensureRegistered(app.audit, environment === 'production' ? {} : { trustsUnlisted });
  } catch (error) {
    if (error instanceof SignerMismatch) throw new ConfigError([error.message]);
    throw error;
  }
}

function checkpointParts({ checkpoints }: ServiceConfig, signer: KeyedSigner | undefined): AppParts['checkpoints'] {
  if (checkpoints === undefined || signer === undefined) return undefined;
  const { origin, sinks } = checkpoints;
  return { origin, sinks, signer };
}

/** What cannot be built gives back what it was to own. */
async function orClose<T>(owned: readonly { close(): Promise<void> }[], build: () => Promise<T>): Promise<T> {
  try {
    return await build();
  } catch (error) {
    await Promise.all(owned.map((part) => part.close()));
    throw error;
  }
}

function runningService(parts: {
  app: FastifyInstance;
  ops: OpsServer;
  jobs: PeriodicRunner;
  opsUrl: string;
  apiUrl: string;
}): Service {
  const { app, ops, jobs, opsUrl, apiUrl } = parts;
  return {
    apiUrl,
    opsUrl,
    app,
    ensureWorkspace: async (workspaceId) => {
      const known = await app.workspaces.list([workspaceId], {});
      if (known.workspaces.length > 0) return;
      await app.workspaces.create({ workspaceId }, BOOT).catch((error: unknown) => {
        // Another replica that boots at the same time was first.
        if (!(error instanceof WorkspaceExists)) throw error;
      });
    },
    drain: () => app.drain(),
    close: async () => {
      await jobs.stop();
      await app.close();
      await ops.close();
    },
  };
}

/** Everything that settings name by path; all problems at once. */
async function readFiles(config: ServiceConfig) {
  const problems: string[] = [];
  const [identityMap, tls, signers] = await Promise.all([
    collect(problems, async () => loadIdentityMap(config.identity.mapFile, config.identity.trustDomain)),
    collect(problems, () => readTls(config)),
    collect(problems, () => openSigners({ ...config.signers, checkpoint: config.checkpoints?.signer })),
  ]);
  const { kernel } = config.manifests;
  if (kernel !== undefined) await collect(problems, () => readKernelFiles(kernel));
  for (const { verifierKey } of config.checkpoints?.sinks.witnesses ?? []) {
    await collect(problems, async () => parseVerifierKey(verifierKey));
  }
  if (problems.length > 0 || identityMap === undefined || tls === undefined || signers === undefined)
    throw new ConfigError(problems);
  return { identityMap, tls, signers };
}

/** The result, or undefined with what an operator must mend added to `problems`. */
async function collect<T>(problems: string[], work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ConfigError) problems.push(...error.problems);
    else if (error instanceof IdentityMapInvalid)
      problems.push(...error.problems.map((text) => `identity map: ${text}`));
    // A key that cannot be reached is no mistake in the settings.
    else if (error instanceof CodedError && !(error instanceof SignerError)) problems.push(error.message);
    else throw error;
    return undefined;
  }
}

async function readTls({ api, identity }: ServiceConfig) {
  const problems: string[] = [];
  const [key, cert, clientCa] = await Promise.all(
    [api.keyFile, api.certFile, api.clientCaFile].map((path) => collect(problems, () => readText(path))),
  );
  if (key === undefined || cert === undefined || clientCa === undefined) throw new ConfigError(problems);
  requireUsable(api, { key, cert, ca: clientCa });
  return { key, cert, clientCa, minVersion: api.minVersion, requireCertificate: !identity.skipMtls };
}

function requireUsable(api: ServiceConfig['api'], material: { key: string; cert: string; ca: string }): void {
  try {
    createSecureContext(material);
  } catch {
    throw new ConfigError([
      `${api.certFile}, ${api.keyFile} and ${api.clientCaFile} are not usable PEM of one identity`,
    ]);
  }
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new ConfigError([`${path} cannot be read (${cause instanceof Error ? cause.message : 'unknown'})`]);
  }
}

/** Production demands restricted logins; elsewhere what is wrong with them is said. */
async function requireSafeLogins(config: ServiceConfig, logger: Logger): Promise<void> {
  const { appUrl, systemUrl } = config.database;
  const problems = [
    ...(await checkLogin(appUrl, 'castellan_app')),
    ...(await checkLogin(systemUrl, 'castellan_system')),
  ];
  if (problems.length === 0) return;
  if (config.environment === 'production') throw new ConfigError(problems);
  for (const problem of problems) logger.warn({ problem }, 'not fit for production');
}
