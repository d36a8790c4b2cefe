import { lookup } from 'node:dns/promises';
import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';

import packageJson from '../package.json' with { type: 'json' };
import { type AppParts, buildApp } from './app.ts';
import { backgroundJobs, type JobName } from './background.ts';
import { readFiles } from './boot/files.ts';
import { openIsolation, watchIsolation } from './boot/isolation.ts';
import { requireSafeLogins } from './boot/logins.ts';
import { ocspReports, staple } from './boot/ocsp.ts';
import { openTrustFiles } from './boot/trust.ts';
import { type Clock, systemClock } from './clock.ts';
import { ConfigError, type ServiceConfig } from './config.ts';
import { acceptEmbedded } from './embedded.ts';
import type { Failpoints } from './failpoints.ts';
import { isTls } from './http/drain.ts';
import { contextOptions } from './http/server-options.ts';
import { assembleIdentity } from './identity/assembly.ts';
import { identifyPerson } from './identity/people.ts';
import type { PeriodicRunner } from './jobs/periodic.ts';
import { createKnownLocks } from './locks/known.ts';
import type { Logger } from './logger.ts';
import { createMetrics, type Metrics } from './metrics/metrics.ts';
import { createOpsServer, type OpsServer } from './ops.ts';
import { openPolicyParts } from './policy/parts.ts';
import { readinessChecks, requireSchema } from './readiness.ts';
import type { Isolation } from './runtime/isolation.ts';
import { SignerMismatch } from './signers/errors.ts';
import type { KeyedSigner } from './signers/verified-signer.ts';
import { createStorage } from './storage/storage.ts';
import { createWatcher } from './trust/watcher.ts';
import { WorkspaceExists } from './workspaces/errors.ts';

const DAY_MS = 86_400_000;
/** Connections kept free of audit transactions, so that reads and readiness always find one. */
const RESERVED_CONNECTIONS = 4;
const BOOT = { id: 'castellan', kind: 'system', traceId: '0'.repeat(32) } as const;

export interface Service {
  readonly apiUrl: string;
  readonly opsUrl: string;
  /** Of the listener for humans, where there is one. */
  readonly humanUrl: string | undefined;
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
    /** For tests that script it; by default that of the settings. */
    isolation?: Isolation;
    /** For tests that count what a request leaves. */
    withoutJobs?: readonly JobName[];
  },
): Promise<Service> {
  const { logger, clock = systemClock } = options;
  const { identity, database } = config;
  const storage = createStorage({ ...database, logger });
  const metrics = createMetrics({ clock });
  metrics.watchPool('app', () => storage.stats().app);
  metrics.watchPool('system', () => storage.stats().system);
  const knownLocks = createKnownLocks({ storage, clock });
  const files = openTrustFiles(config, clock);
  const humanConnections = new WeakSet<Socket>();
  const humanTls = () => ({ ...files.humanMaterial(), minVersion: config.api.minVersion });
  const ocsp = ocspReports(logger);
  const who = assembleIdentity({
    config: identity,
    identityMap: files.identityMap.current,
    trustBundle: files.authorities.current,
    clientCaFile: config.api.clientCaFile,
    locks: knownLocks,
    tokens: { idOf: identifyPerson(storage), observe: tokenObserver(metrics, logger) },
    ocsp,
    isHumanListener: (socket) => humanConnections.has(socket),
    clock,
  });
  const watcher = createWatcher([...files.sources, ...who.sources]);
  metrics.watchEndings(watcher.endings);
  const { started, signers } = await orClose([storage], async () => {
    const read = await readFiles(config, watcher);
    if (options.checkLogins === true) await requireSafeLogins(config, logger);
    return read;
  });
  const policy = await orClose([storage], () =>
    openPolicyParts({ opaBin: config.opaBin, searchPath: config.searchPath }),
  );
  const isolation = await orClose(
    [storage, policy.engine],
    async () =>
      options.isolation ??
      openIsolation(config.runtime, { logger, searchPath: config.searchPath, observe: metrics.egress }),
  );
  const isolated = isolation && watchIsolation(isolation, { required: config.runtime.required, logger });
  if (isolation !== undefined) metrics.watchIsolation(() => ({ known: isolated?.known(), slots: isolation.slots }));
  const app = await orClose([storage, policy.engine, ...(isolation === undefined ? [] : [isolation])], () =>
    buildApp({
      version: packageJson.version,
      logger,
      clock,
      random: Math.random,
      tls: files.material(),
      human: identity.human && { tls: humanTls(), connections: humanConnections },
      authenticate: acceptEmbedded(who.authenticate),
      trust: { watcher, started, standing: who.standing },
      storage,
      knownLocks,
      databaseUrl: database.appUrl,
      auditTransactions: Math.max(1, database.poolSize - RESERVED_CONNECTIONS),
      auditSigningMode: config.auditSigningMode,
      metrics,
      limits: config.limits,
      runtime: config.runtime,
      isolation,
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
  who.handshakes.watch(app.server);
  if (isTls(app.server)) files.follow(app.server, () => contextOptions(files.material()));
  if (app.humanListener !== undefined) files.follow(app.humanListener.server, () => contextOptions(humanTls()));
  ocsp.tell(app);
  staple(app, clock, logger);
  if (config.checkpoints === undefined) logger.warn({}, 'no checkpoint key: no checkpoints are made here');
  const { withoutJobs = [] } = options;
  const jobs = backgroundJobs(app, {
    checkpointsMs: config.checkpoints?.intervalMs,
    reloadMs: identity.reloadMs,
    clock,
    metrics,
    logger,
    withoutJobs,
  });
  const ops = createOpsServer({
    checks: readinessChecks(app, clock, isolated?.check),
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
    await app.trust.recordStart();
    isolated?.begin();
    const opsUrl = await ops.listen(config.ops);
    const humanUrl = identity.human && (await app.humanListener?.listen(identity.human));
    // One address: for `localhost` Fastify makes a server for each, with nothing of what is hung on the app's own.
    const { address } = await lookup(config.api.host);
    const apiUrl = await app.listen({ host: address, port: config.api.port });
    jobs.start();
    return runningService({ app, ops, jobs, opsUrl, apiUrl, humanUrl });
  } catch (error) {
    await ops.close();
    await app.close();
    throw error;
  }
}

function tokenObserver(metrics: Metrics, logger: Logger) {
  return {
    keysFetched: (issuer: string, failure: unknown) => {
      metrics.tokens.keysFetched(issuer, failure === undefined);
      const reason = failure instanceof Error ? failure.message : undefined;
      if (failure !== undefined) logger.warn({ issuer, reason }, 'an issuer of tokens cannot be asked for its keys');
    },
  };
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
  humanUrl: string | undefined;
}): Service {
  const { app, ops, jobs, opsUrl, apiUrl, humanUrl } = parts;
  return {
    apiUrl,
    opsUrl,
    humanUrl,
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
