import { lookup } from 'node:dns/promises';
import { hostname } from 'node:os';
import { setTimeout as wait } from 'node:timers/promises';

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
import { createCluster } from './cluster.ts';
import { createEgressWays } from './egress.ts';
import { jobName, serviceLabel } from './labels.ts';
import { preflight } from './preflight/preflight.ts';
import { removeJob } from './removal.ts';
import { openSandbox } from './sandbox.ts';

/** ms that what was found holds: good for long, bad for less. */
const GOOD_FOR_MS = 600_000;
const BAD_FOR_MS = 30_000;
/** ms for the end of what is open, when the service closes; then the cluster ends it at its deadline. */
const CLOSE_MS = 20_000;

export interface KubernetesParts {
  readonly logger: Logger;
  /** Where pods with an allowlist come to. */
  readonly egressListener?: EgressListener | undefined;
  /** A label for people, in the place of the host name. */
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
  const service = serviceLabel(parts.serviceName ?? hostname());
  const cluster = createCluster({ client, config: { ...config.kubernetes, image }, service, logger });
  const ways = createEgressWays(cluster, { listener: egressListener, proxy: config.kubernetes.egressProxy });
  const open = new Set<{ close(): Promise<void> }>();
  let known: { readonly at: number; readonly state: IsolationState } | undefined;
  let looking: Promise<IsolationState> | undefined;
  const closing = new AbortController();

  function look(): Promise<IsolationState> {
    looking ??= lookOnce().finally(() => {
      looking = undefined;
    });
    return looking;
  }

  async function lookOnce(): Promise<IsolationState> {
    const listeners = () => listenersOf(access, config.kubernetes.egressProxy);
    const state = await preflight(cluster, listeners, closing.signal);
    known = { at: clock(), state };
    return state;
  }

  async function state(): Promise<IsolationState> {
    if (known === undefined) return look();
    // A clock may have been set back.
    const age = Math.abs(clock() - known.at);
    // Looked at again beside: a canary takes seconds, and its answer is for the next who asks.
    if (age > (known.state.available ? GOOD_FOR_MS : BAD_FOR_MS)) void look();
    return known.state;
  }

  return {
    name: 'kubernetes',
    state,
    recheck: look,
    openSandbox: async (request) => {
      if (closing.signal.aborted) throw closedDown();
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
    discard: (runId) => removeJob(cluster, jobName(runId)),
    agents: createAgents(cluster, ways),
    close: async () => {
      closing.abort();
      const ended = Promise.allSettled([looking, ...[...open].map((sandbox) => sandbox.close())]);
      await Promise.race([ended, wait(CLOSE_MS, undefined, { ref: false })]);
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

function closedDown(): IsolationUnavailable {
  return new IsolationUnavailable({
    check: 'closing',
    observed: 'the service is ending',
    fix: 'Ask again when it runs.',
  });
}
