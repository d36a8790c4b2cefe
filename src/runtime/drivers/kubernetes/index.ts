import { randomUUID } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { hostname } from 'node:os';

import { type Clock, systemClock } from '../../../clock.ts';
import type { HostPort, RuntimeConfig } from '../../../config/runtime.ts';
import { ConfigError } from '../../../config.ts';
import type { EgressListener } from '../../../egress/listener.ts';
import type { Logger } from '../../../logger.ts';
import { IsolationUnavailable } from '../../errors.ts';
import type { Isolation, IsolationState, SandboxRequest } from '../../isolation.ts';
import { createAgents } from './agents.ts';
import { type Access, inClusterAccess, kubeconfigAccess } from './client/access.ts';
import { createClusterClient } from './client/client.ts';
import { type Cluster, createCluster } from './cluster.ts';
import { createEgressWays } from './egress.ts';
import { serviceLabel } from './labels.ts';
import { preflight } from './preflight/preflight.ts';
import { openSandbox } from './sandbox.ts';
import { sweepJobs } from './sweep.ts';

/** ms that what was found holds: good for long, bad for less. */
const GOOD_FOR_MS = 600_000;
const BAD_FOR_MS = 30_000;

export interface KubernetesParts {
  readonly logger: Logger;
  /** Where pods with an allowlist come to. */
  readonly egressListener?: EgressListener | undefined;
  /** Of this service: what an earlier process of the same name left is removed. */
  readonly serviceName?: string;
  readonly clock?: Clock;
  /** For tests. */
  readonly access?: Access;
}

/**
 * Isolation by a cluster: a job for each sandbox, a deployment for each agent, in one namespace that enforces "restricted".
 * Nothing is asked of the cluster before the first call. Throws ConfigError for settings that cannot be.
 */
export function createKubernetesIsolation(
  config: Pick<RuntimeConfig, 'kubernetes'>,
  parts: KubernetesParts,
): Isolation {
  const { logger, clock = systemClock, egressListener } = parts;
  const { image } = config.kubernetes;
  if (image === undefined) throw new ConfigError(['CASTELLAN_KUBERNETES_IMAGE is not set']);
  const access = parts.access ?? accessOf(config);
  const client = createClusterClient(access, clock);
  const service = { name: serviceLabel(parts.serviceName ?? hostname()), boot: randomUUID() };
  const cluster = createCluster({ client, config: { ...config.kubernetes, image }, service, logger });
  const ways = createEgressWays(cluster, { listener: egressListener, proxy: config.kubernetes.egressProxy });
  const open = new Set<{ close(): Promise<void> }>();
  let known: { readonly at: number; readonly state: IsolationState } | undefined;
  let looking: Promise<IsolationState> | undefined;
  let swept: Promise<unknown> | undefined;
  let isClosed = false;

  function look(): Promise<IsolationState> {
    looking ??= lookOnce().finally(() => {
      looking = undefined;
    });
    return looking;
  }

  async function lookOnce(): Promise<IsolationState> {
    const state = await preflight(cluster, () => listenersOf(access, config.kubernetes.egressProxy));
    known = { at: clock(), state };
    if (state.available) swept ??= sweep(cluster);
    await swept;
    return state;
  }

  async function state(): Promise<IsolationState> {
    if (known === undefined) return look();
    const age = clock() - known.at;
    // Looked at again beside: a canary takes seconds, and its answer is for the next who asks.
    if (age > (known.state.available ? GOOD_FOR_MS : BAD_FOR_MS)) void look();
    return known.state;
  }

  return {
    name: 'kubernetes',
    state,
    recheck: look,
    openSandbox: async (request) => {
      if (isClosed) throw closedDown();
      const now = await state();
      if (!now.available) throw new IsolationUnavailable(now.problem);
      const sandbox = await openWithWay(request);
      open.add(sandbox);
      const close = async () => {
        await sandbox.close();
        open.delete(sandbox);
      };
      return {
        run: sandbox.run,
        close,
        get egress() {
          return sandbox.egress;
        },
      };
    },
    agents: createAgents(cluster, ways),
    close: async () => {
      isClosed = true;
      await looking?.catch(() => undefined);
      await Promise.allSettled([...open].map((sandbox) => sandbox.close()));
      await ways.close();
      cluster.pods.close();
      cluster.deployments.close();
      await client.close();
    },
  };

  async function openWithWay(request: SandboxRequest) {
    const { runId, allowDomains } = request;
    const egress = allowDomains.length === 0 ? undefined : await ways.open(runId, allowDomains);
    return openSandbox(cluster, request, { kind: 'sandbox', egress });
  }
}

function accessOf({ kubernetes: { kubeconfigFile } }: Pick<RuntimeConfig, 'kubernetes'>): Access {
  return kubeconfigFile === undefined ? inClusterAccess() : kubeconfigAccess(kubeconfigFile);
}

/** What a pod without an allowlist must not reach. */
async function listenersOf(access: Access, proxy: HostPort | undefined): Promise<Record<string, HostPort>> {
  const { origin } = await access();
  const url = new URL(origin);
  const server = { host: url.hostname.replace(/^\[|\]$/g, ''), port: Number(url.port === '' ? 443 : url.port) };
  return {
    'api-server': await resolved(server),
    ...(proxy === undefined ? {} : { 'egress-proxy': await resolved(proxy) }),
  };
}

/** Pods have no name server; what has no address for us has none for them. */
async function resolved({ host, port }: HostPort): Promise<HostPort> {
  const { address } = await lookup(host);
  return { host: address, port };
}

async function sweep(cluster: Cluster): Promise<void> {
  try {
    const count = await sweepJobs(cluster);
    if (count > 0) cluster.logger.info({ count }, 'sandboxes of an earlier process of this service were removed');
  } catch (error) {
    cluster.logger.warn({ err: error }, 'what an earlier process of this service left could not be removed');
  }
}

function closedDown(): IsolationUnavailable {
  return new IsolationUnavailable({
    check: 'closing',
    observed: 'the service is ending',
    fix: 'Ask again when it runs.',
  });
}
