import Fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify';

import { admissionPlugin } from './admission/plugin.ts';
import { agentsPlugin } from './agents/plugin.ts';
import { accessAuditPlugin, auditRefusal } from './audit/access-plugin.ts';
import { createExportChain } from './audit/export-chain.ts';
import { auditPlugin } from './audit/plugin.ts';
import { auditRoutes } from './audit/routes.ts';
import { createVerifyChain } from './audit/verify-chain.ts';
import { breakGlassPlugin } from './break-glass/plugin.ts';
import { checkpointsPlugin } from './checkpoints/plugin.ts';
import type { Clock } from './clock.ts';
import type { CheckpointSettings } from './config/checkpoints.ts';
import type { ManifestConfig } from './config/identity.ts';
import type { LimitsConfig } from './config/limits.ts';
import type { RuntimeConfig } from './config/runtime.ts';
import { decisionRoutes } from './decisions/routes.ts';
import type { Failpoints } from './failpoints.ts';
import { accessLogPlugin } from './http/access-log.ts';
import { connectionsPlugin } from './http/drain.ts';
import { handlerLimitPlugin } from './http/handler-limit.ts';
import { type HumanListenerOptions, humanListenerPlugin } from './http/human-listener.ts';
import { jsonBodyPlugin } from './http/json-body.ts';
import { DOCS_PREFIX, openApiPlugin } from './http/openapi.ts';
import { problemPlugin } from './http/problem.ts';
import { queryTypesPlugin } from './http/query-types.ts';
import { refusalsPlugin } from './http/refusals.ts';
import { requestContextPlugin } from './http/request-context.ts';
import { routeContractPlugin } from './http/route-contract.ts';
import { applyServerLimits, fastifyOptions, type TlsMaterial } from './http/server-options.ts';
import { idempotencyPlugin } from './idempotency/plugin.ts';
import { isPermission } from './identity/permissions.ts';
import { type IdentityOptions, identityPlugin } from './identity/plugin.ts';
import { killSwitchPlugin } from './kill-switch/plugin.ts';
import { limitsPlugin } from './limits/plugin.ts';
import type { KnownLocks } from './locks/known.ts';
import { locksPlugin } from './locks/plugin.ts';
import { manifestsPlugin } from './manifests/plugin.ts';
import { auditUnreadable } from './manifests/unreadable.ts';
import type { Metrics } from './metrics/metrics.ts';
import { metricsPlugin } from './metrics/plugin.ts';
import { type PolicyPluginOptions, policyPlugin } from './policy/plugin.ts';
import { promotionPlugin } from './promotion/plugin.ts';
import { retentionPlugin } from './retention/plugin.ts';
import { pruningRoutes } from './retention/pruning-routes.ts';
import { revalidationPlugin } from './revalidation/plugin.ts';
import type { Isolation } from './runtime/isolation.ts';
import { runtimePlugin } from './runtime/plugin.ts';
import { sandboxRunsPlugin } from './sandbox-runs/plugin.ts';
import { signersPlugin } from './signers/plugin.ts';
import { reattestationRoutes } from './signers/reattestation-routes.ts';
import { signerRoutes } from './signers/routes.ts';
import type { KeyedSigner } from './signers/verified-signer.ts';
import { spawnPlugin } from './spawn/plugin.ts';
import { storagePlugin } from './storage/plugin.ts';
import type { Storage } from './storage/storage.ts';
import { supervisorPlugin } from './supervisor/plugin.ts';
import { templatesPlugin } from './templates/plugin.ts';
import { type TrustPluginOptions, trustPlugin } from './trust/plugin.ts';
import { suspensionGuardPlugin } from './workspace-settings/guard.ts';
import { workspaceSettingsPlugin } from './workspace-settings/plugin.ts';
import { workspacesPlugin } from './workspaces/plugin.ts';

export interface AppParts {
  readonly version: string;
  readonly logger: FastifyBaseLogger;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly tls: TlsMaterial;
  /** Absent: there is no listener for humans. */
  readonly human?: HumanListenerOptions | undefined;
  readonly authenticate: IdentityOptions['authenticate'];
  readonly storage: Storage;
  readonly knownLocks: KnownLocks;
  readonly trust: Pick<TrustPluginOptions, 'watcher' | 'started' | 'standing'>;
  /** The app role's login, for verifications, which read in a thread of their own. */
  readonly databaseUrl: string;
  /** Chains written at once; below the pool's size. */
  readonly auditTransactions: number;
  readonly auditSigningMode: 'event' | 'batch';
  readonly metrics: Metrics;
  readonly limits: LimitsConfig;
  readonly runtime: RuntimeConfig;
  /** Absent: every agent runs elsewhere, and there are no sandbox runs. */
  readonly isolation: Isolation | undefined;
  readonly auditSigner: KeyedSigner;
  readonly proofSigner: KeyedSigner;
  /** Absent: this process makes no checkpoints. */
  readonly checkpoints?: (Pick<CheckpointSettings, 'origin' | 'sinks'> & { readonly signer: KeyedSigner }) | undefined;
  readonly proofTtlMs: number;
  readonly breakGlassMaxMinutes: number;
  readonly manifests: ManifestConfig;
  readonly policy: Pick<PolicyPluginOptions, 'engine' | 'parse' | 'compile' | 'shipped'>;
  /** For tests of faults only: no setting leads here. */
  readonly failpoints?: Failpoints | undefined;
}

/** The API, complete and not listening. Touches neither database nor network until the first request. */
export async function buildApp(parts: AppParts): Promise<FastifyInstance> {
  const { clock, random, metrics, storage } = parts;
  const app = Fastify(fastifyOptions({ tls: parts.tls, random, loggerInstance: parts.logger }));
  applyServerLimits(app.server);

  await app.register(routeContractPlugin, { isPermission, exemptPrefixes: [DOCS_PREFIX] });
  await app.register(requestContextPlugin);
  await app.register(accessLogPlugin);
  await app.register(handlerLimitPlugin);
  await app.register(problemPlugin, {
    random,
    beforeAnswer: async (error, request) =>
      auditRefusal(app.accessRecorder, await auditUnreadable(app.manifests, error, request), request),
  });
  await app.register(refusalsPlugin);
  await app.register(connectionsPlugin, { clock });
  await app.register(metricsPlugin, { metrics });
  await app.register(storagePlugin, { storage });
  await app.register(limitsPlugin, {
    config: parts.limits,
    now: () => performance.now(),
    random,
    observe: metrics.limits,
    workspaceCeiling: (workspaceId) => app.workspaceSettings.ceilings.of(workspaceId),
  });
  metrics.watchLimits(app.limits.stats);
  await app.register(identityPlugin, {
    authenticate: parts.authenticate,
    admit: app.limits.admit,
    charge: app.limits.charge,
    elevations: { use: (...question) => app.breakGlass.use(...question) },
  });
  if (parts.human !== undefined) await app.register(humanListenerPlugin, parts.human);
  await app.register(queryTypesPlugin);
  await app.register(jsonBodyPlugin);
  await app.register(openApiPlugin, { version: parts.version });
  await app.register(suspensionGuardPlugin);
  await app.register(idempotencyPlugin, { clock, random });

  await app.register(signersPlugin, {
    clock,
    auditDriver: parts.auditSigner,
    proofDriver: parts.proofSigner,
    checkpointDriver: parts.checkpoints?.signer,
  });
  await app.register(auditPlugin, {
    clock,
    transactions: parts.auditTransactions,
    signingMode: parts.auditSigningMode,
    failpoints: parts.failpoints,
  });
  await app.register(workspaceSettingsPlugin);
  await app.register(accessAuditPlugin, { clock });
  await app.register(breakGlassPlugin, {
    clock,
    maxMinutes: parts.breakGlassMaxMinutes,
    observe: metrics.breakGlass,
  });
  metrics.watchElevations(app.breakGlass.count);
  await app.register(manifestsPlugin, { clock, config: parts.manifests });
  await app.register(trustPlugin, { ...parts.trust, authenticate: parts.authenticate, observe: metrics.trust });
  if (app.humanListener !== undefined) app.trust.watch(app.humanListener.server);
  await app.register(locksPlugin, { clock, known: parts.knownLocks, recheck: app.trust.recheck });
  await app.register(policyPlugin, {
    ...parts.policy,
    findAuditKey: app.signers.findAuditKey,
    findRevocations: app.signers.findRevocations,
    revalidation: () => app.revalidation,
    observe: metrics.policy,
  });
  await app.register(admissionPlugin, { clock });
  await app.register(runtimePlugin, { isolation: parts.isolation });
  await app.register(agentsPlugin, {
    clock,
    ceilings: parts.runtime.ceilings,
    observe: metrics.agents,
    promote: (...question) => app.promotion.batchAction(...question),
    removeWith: (...question) => app.sandboxRuns.removeOf(...question),
  });
  const issuer = { signer: app.signers.proof, key: app.signers.proofKey, ttlMs: parts.proofTtlMs };
  const massIssuer = { ...issuer, signer: app.signers.proofInBackground };
  await app.register(promotionPlugin, {
    clock,
    issuer,
    renewal: {
      needed: (...question) => app.revalidation.renewal.needed(...question),
      renew: (...subject) => app.revalidation.renewal.renew(...subject),
    },
    settings: app.workspaceSettings.read,
    viewAgent: app.agents.view,
    observe: metrics.promotion,
  });
  await app.register(revalidationPlugin, {
    clock,
    loadMany: app.admission.loadMany,
    fingerprints: app.admission.fingerprints,
    recheck: app.promotion.recheck,
    settings: app.workspaceSettings.read,
    observe: metrics.revalidation,
    issuer: massIssuer,
  });
  await app.register(workspacesPlugin);
  await app.register(killSwitchPlugin);
  await app.register(templatesPlugin);
  await app.register(spawnPlugin);
  await app.register(supervisorPlugin, { clock, random, config: parts.runtime, observe: metrics.supervision });
  metrics.watchSupervised(() => app.supervisor?.supervised ?? 0);
  await app.register(sandboxRunsPlugin, { clock, config: parts.runtime, observe: metrics.sandboxRuns });
  metrics.watchSandboxRuns(app.sandboxRuns.stats);
  const verifyChain = createVerifyChain(parts.databaseUrl);
  const exportChain = createExportChain(parts.databaseUrl);
  await app.register(auditRoutes, {
    verifyChain: async (chain, signal) => {
      // A thread takes longer to find out that the database is away.
      await storage.ping();
      return verifyChain(chain, signal);
    },
    exportChain: async (chain, from, signal) => {
      await storage.ping();
      return exportChain(chain, from, signal);
    },
  });
  await app.register(checkpointsPlugin, {
    clock,
    random,
    settings: parts.checkpoints,
    failpoints: parts.failpoints,
  });
  await app.register(retentionPlugin);
  await app.register(pruningRoutes, { clock });
  await app.register(signerRoutes, { own: app.signers.own, distrusted: app.revalidation.kickDistrusted });
  await app.register(reattestationRoutes);
  await app.register(decisionRoutes);
  await app.ready();
  return app;
}
