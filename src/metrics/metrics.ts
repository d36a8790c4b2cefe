import { collectDefaultMetrics, type Gauge } from 'prom-client';
import type { Clock } from '../clock.ts';
import { defineMetrics } from './definitions.ts';
import { reasonLabel } from './reasons.ts';

const DAY_MS = 86_400_000;
/** Policies shown by `policy_version_info`; a service may have one per workspace, a label may not. */
const MAX_POLICY_INFOS = 50;
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

/** Connections of a database pool. */
interface PoolCounts {
  readonly total: number;
  readonly idle: number;
  readonly waiting: number;
}

/** Requests under way and waiting, by lane. */
interface LimitStats {
  readonly lanes: Readonly<
    Record<string, { readonly inFlight: number; readonly waiting: number; readonly places: number }>
  >;
  readonly pressure: number;
}

interface IsolationStats {
  /** Of the last look. */
  readonly known: { readonly available: boolean; readonly limits?: 'enforced' | 'degraded' } | undefined;
  readonly slots: { readonly used: number; readonly total: number } | undefined;
}

/** A certificate or list, and the epoch ms it ends at. */
interface Ending {
  readonly certificate: string;
  readonly notAfter: number;
}

/** What the slices tell; each takes its own member as its observer, so none of them knows Prometheus. */
export type Metrics = ReturnType<typeof createMetrics>;

/** A fresh set of metrics. `collectProcess: false` leaves out those of the process, which start timers and observers. */
export function createMetrics(options: { readonly clock: Clock; readonly collectProcess?: boolean }) {
  const metrics = defineMetrics();
  if (options.collectProcess !== false) collectDefaultMetrics({ register: metrics.registry, prefix: 'castellan_' });
  const watchers: (() => void)[] = [];
  return {
    /** The exposition text and its media type, as of now. */
    read: async (): Promise<{ readonly contentType: string; readonly text: string }> => {
      for (const watch of watchers) watch();
      return { contentType: metrics.registry.contentType, text: await metrics.registry.metrics() };
    },
    agents: {
      allowed: () => metrics.agentStartsAllowed.inc(),
      denied: (code: string) => metrics.agentStartsDenied.inc({ reason: reasonLabel(code) }),
    },
    supervision: {
      launched: (outcome: 'launched' | 'denied' | 'failed') => metrics.agentLaunches.inc({ outcome }),
      restarted: () => metrics.agentRestarts.inc(),
    },
    /** Shows the agents supervised here whenever the metrics are read. */
    watchSupervised: (count: () => number) => {
      watchers.push(() => metrics.agentsSupervised.set(count()));
    },
    admission: { finished: (seconds: number) => metrics.admissionSeconds.observe(seconds) },
    promotion: {
      attempted: () => metrics.promotionAttempts.inc(),
      denied: (code: string) => metrics.promotionDenies.inc({ reason: reasonLabel(code) }),
    },
    policy: {
      reloaded: () => metrics.policyReloads.inc(),
      reloadFailed: () => metrics.policyReloadFailures.inc(),
      decided: (seconds: number) => metrics.policyDecisionSeconds.observe(seconds),
      activated: policyInfo(metrics.policyVersionInfo),
    },
    revalidation: { invalidated: (agents: number) => metrics.agentInvalidations.inc(agents) },
    audit: {
      batch: (size: number) => {
        metrics.auditBatchSize.observe(size);
        metrics.auditEvents.inc(size);
      },
      signed: (seconds: number) => metrics.auditSignSeconds.observe(seconds),
      signerFailed: () => metrics.signerErrors.inc(),
      queueDepth: (pending: number) => metrics.auditQueueDepth.set(pending),
      dropped: (events: number) => metrics.auditEventsDropped.inc(events),
    },
    checkpoints: {
      signed: (size: number, at: number) => {
        metrics.checkpointSize.set(size);
        metrics.checkpointTime.set(at / 1000);
      },
      refused: () => metrics.checkpointRefusals.inc(),
      damaged: (chains: number) => metrics.checkpointDamaged.set(chains),
      /** `sink`: of the settings, never of a request. */
      delivered: (sink: string, size: number) => {
        metrics.checkpointDeliveries.inc({ sink, outcome: 'delivered' });
        metrics.checkpointDelivered.set({ sink }, size);
      },
      failed: (sink: string) => metrics.checkpointDeliveries.inc({ sink, outcome: 'failed' }),
    },
    tokens: {
      /** `issuer`: of the settings, never of a token. */
      keysFetched: (issuer: string, ok: boolean) =>
        metrics.tokenKeyFetches.inc({ issuer, outcome: ok ? 'fetched' : 'failed' }),
    },
    sandboxRuns: {
      ended: (status: string, seconds: number) => {
        metrics.sandboxRuns.inc({ status });
        metrics.sandboxRunSeconds.observe(seconds);
      },
    },
    /** Shows the sandbox runs under way whenever the metrics are read. */
    watchSandboxRuns: (read: () => { readonly running: number; readonly waiting: number }) => {
      watchers.push(() => {
        const { running, waiting } = read();
        metrics.sandboxRunning.set(running);
        metrics.sandboxQueueDepth.set(waiting);
      });
    },
    egress: {
      connection: (verdict: 'allowed' | 'denied') => metrics.egressConnections.inc({ verdict }),
      bytes: (direction: 'in' | 'out', count: number) => metrics.egressBytes.inc({ direction }, count),
    },
    jobs: {
      finished: (job: string, seconds: number) => metrics.jobRoundSeconds.observe({ job }, seconds),
      failed: (job: string) => metrics.jobFailures.inc({ job }),
    },
    http: {
      /** `route` is the pattern, never the path. */
      answered: (method: string, route: string, status: number, seconds: number) =>
        metrics.httpSeconds.observe({ method: METHODS.has(method) ? method : 'OTHER', route, status }, seconds),
    },
    breakGlass: {
      granted: () => metrics.breakGlassGranted.inc(),
      used: () => metrics.breakGlassRequests.inc(),
    },
    limits: { refused: (reason: string, lane: string) => metrics.requestsLimited.inc({ reason, lane }) },
    /** Shows what is under way whenever the metrics are read. */
    watchLimits: (read: () => LimitStats) => {
      watchers.push(() => {
        const { lanes, pressure } = read();
        for (const [lane, { inFlight, waiting, places }] of Object.entries(lanes)) {
          metrics.requestsInFlight.set({ lane }, inFlight);
          metrics.requestsWaiting.set({ lane }, waiting);
          metrics.requestPlaces.set({ lane }, places);
        }
        metrics.overloadLevel.set(pressure);
      });
    },
    /** Shows the elevations in force whenever the metrics are read. */
    watchElevations: (count: () => number) => {
      watchers.push(() => metrics.breakGlassActive.set(count()));
    },
    /** Shows whether and how well is isolated, as of the last look, whenever the metrics are read. */
    watchIsolation: (read: () => IsolationStats) => {
      watchers.push(() => {
        const { known, slots } = read();
        metrics.isolationAvailable.set(known?.available === true ? 1 : 0);
        metrics.isolationDegraded.set(known?.limits === 'degraded' ? 1 : 0);
        if (slots === undefined) return;
        metrics.isolationSlots.set({ state: 'used' }, slots.used);
        metrics.isolationSlots.set({ state: 'free' }, slots.total - slots.used);
      });
    },
    /** Shows the pool's connections whenever the metrics are read. */
    watchPool: (pool: string, count: () => PoolCounts) => {
      watchers.push(() => {
        const { total, idle, waiting } = count();
        metrics.dbPoolConnections.set({ pool, state: 'idle' }, idle);
        metrics.dbPoolConnections.set({ pool, state: 'busy' }, total - idle);
        metrics.dbPoolConnections.set({ pool, state: 'waiting' }, waiting);
      });
    },
    trust: {
      /** `source`: of the settings. */
      reloaded: (source: string, outcome: 'applied' | 'refused') => metrics.identityReloads.inc({ source, outcome }),
      connectionsEnded: (reason: string, count: number) => metrics.connectionsEnded.inc({ reason }, count),
    },
    /** Shows the days left of what ends by itself, and of the first of them, whenever the metrics are read. */
    watchEndings: (read: () => readonly Ending[]) => {
      watchers.push(() => {
        const endings = read();
        const earliest = Math.min(...endings.map(({ notAfter }) => notAfter));
        metrics.certificateDaysLeft.reset();
        if (endings.length === 0) return;
        for (const { certificate, notAfter } of [...endings, { certificate: 'earliest', notAfter: earliest }])
          metrics.certificateDaysLeft.set({ certificate }, (notAfter - options.clock()) / DAY_MS);
      });
    },
  };
}

function policyInfo(gauge: Gauge<'policy_set' | 'hash'>) {
  const shown = new Map<string, { policy_set: string; hash: string }>();
  return (policySet: string, hash: string) => {
    const labels = { policy_set: policySet, hash };
    const key = JSON.stringify([policySet, hash]);
    shown.delete(key);
    shown.set(key, labels);
    gauge.set(labels, 1);
    const [oldest] = shown;
    if (shown.size <= MAX_POLICY_INFOS || oldest === undefined) return;
    shown.delete(oldest[0]);
    gauge.remove(oldest[1]);
  };
}
