import { randomBytes } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { type Static, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';

import type { HostPort } from '../../../config/runtime.ts';
import type { EgressCredential, EgressListener, EgressRegistration } from '../../../egress/listener.ts';
import { AGENT_LIMITS, RUN_LIMITS } from '../../../egress/session.ts';
import { IsolationUnavailable } from '../../errors.ts';
import type { EgressDecision } from '../../isolation.ts';
import { isClusterError } from './client/errors.ts';
import { Anything, type Pod, Secret } from './client/resources.ts';
import type { Cluster } from './cluster.ts';
import { ANNOTATION, LABEL, workspaceLabel } from './labels.ts';

/** Keys of the Secret of a way out. */
export const EGRESS_KEY = { url: 'castellan.proxy', credential: 'castellan.egress' } as const;
const VARIABLES = ['HTTP_PROXY', 'HTTPS_PROXY', 'http_proxy', 'https_proxy'] as const;
export const NO_PROXY = 'localhost,127.0.0.1,::1';

const Stored = Type.Object({
  username: Type.String(),
  password: Type.String(),
  allowDomains: Type.Array(Type.String()),
});

/** What a Secret holds of a way out, from which every replica knows the pod: base64 by key. */
type WayData = Readonly<Record<string, string>>;

/** The ways out of the pods of this namespace, over the egress proxy of this service. */
export interface EgressWays {
  /** Of one sandbox. Throws IsolationUnavailable where pods have none. */
  open(id: string, allowDomains: readonly string[]): Promise<EgressWay>;
  /** Of an agent, with the credential that it has had. It holds on each replica that sees a pod of it. */
  prepare(allowDomains: readonly string[], before: WayData | undefined): Promise<WayData>;
  close(): Promise<void>;
}

/** The way out of one sandbox. */
export interface EgressWay {
  /** Variables of its commands. */
  readonly env: Readonly<Record<string, string>>;
  readonly data: WayData;
  readonly decisions: readonly EgressDecision[];
  close(): Promise<void>;
}

/**
 * Pods may come to any replica, and agents outlive each: every replica registers the pods it sees with the credential in
 * their Secret. What a pod did over another replica is counted there, and is not in the record of its run.
 */
export function createEgressWays(
  cluster: Cluster,
  parts: { readonly listener: EgressListener | undefined; readonly proxy: HostPort | undefined },
): EgressWays {
  const { listener, proxy } = parts;
  const own = new Map<string, EgressRegistration>();
  const adopted = new Map<string, Promise<EgressRegistration | undefined>>();
  const closing = new AbortController();
  if (listener !== undefined) void follow(listener);

  async function follow(on: EgressListener): Promise<void> {
    while (!closing.signal.aborted) {
      try {
        await cluster.pods.changed(closing.signal);
        for (const pod of cluster.pods.items()) adopt(on, pod);
        forget(new Set(cluster.pods.items().map(idOf)));
      } catch (error) {
        if (!closing.signal.aborted && !isClusterError(error)) throw error;
      }
    }
  }

  function adopt(on: EgressListener, pod: Pod): void {
    const id = idOf(pod);
    if (id === undefined || own.has(id) || adopted.has(id)) return;
    const registering = stored(secretName(pod)).then((known) => {
      if (known === undefined) return undefined;
      const { allowDomains, ...credential } = known;
      const limits = pod.metadata.labels?.[LABEL.run] === undefined ? AGENT_LIMITS : RUN_LIMITS;
      return on.register({ allowDomains, credential, limits });
    });
    adopted.set(id, registering);
    registering.then(
      (registration) => registration ?? adopted.delete(id),
      (error: unknown) => {
        adopted.delete(id);
        cluster.logger.warn({ err: error, pod: pod.metadata.name }, 'the way out of a pod is not known here');
      },
    );
  }

  function forget(present: ReadonlySet<string | undefined>): void {
    for (const [id, registration] of adopted) {
      if (present.has(id)) continue;
      adopted.delete(id);
      void registration.then((known) => known?.close()).catch(() => undefined);
    }
  }

  /** Undefined before it is there: its maker is about to make it, and another change of the pod follows. */
  async function stored(name: string): Promise<Static<typeof Stored> | undefined> {
    try {
      const path = `${cluster.paths.secrets}/${name}`;
      const { data } = await cluster.client.call(Secret, { method: 'GET', path });
      return readStored(data);
    } catch (error) {
      if (isClusterError(error, 'NOT_FOUND')) return undefined;
      throw error;
    }
  }

  return {
    open: async (id, allowDomains) => {
      if (listener === undefined || proxy === undefined) throw noProxy();
      const address = await addressOf(proxy);
      const registration = listener.register({ allowDomains });
      own.set(id, registration);
      const { credential } = registration;
      const url = urlOf(credential, address);
      return {
        env: proxyVariables(url),
        data: secretData(url, credential, allowDomains),
        get decisions() {
          return registration.decisions;
        },
        close: async () => {
          if (own.get(id) === registration) own.delete(id);
          await registration.close();
        },
      };
    },
    prepare: async (allowDomains, before) => {
      if (listener === undefined || proxy === undefined) throw noProxy();
      const { username, password } = readStored(before) ?? newCredential();
      const credential = { username, password };
      return secretData(urlOf(credential, await addressOf(proxy)), credential, allowDomains);
    },
    close: async () => {
      closing.abort();
      await Promise.all([...own.values()].map((registration) => registration.close()));
      for (const registration of adopted.values()) await (await registration.catch(() => undefined))?.close();
    },
  };
}

export function proxyVariables(url: string): Record<string, string> {
  return { ...Object.fromEntries(VARIABLES.map((name) => [name, url])), NO_PROXY, no_proxy: NO_PROXY };
}

/** The Secret by which other replicas know a sandbox; goes with its job. */
export async function storeWay(
  cluster: Cluster,
  way: EgressWay,
  job: { name: string; uid: string },
  owner: { runId: string; workspaceId: string },
): Promise<void> {
  await cluster.client.call(Anything, {
    method: 'POST',
    path: cluster.paths.secrets,
    body: {
      apiVersion: 'v1',
      kind: 'Secret',
      type: 'Opaque',
      metadata: {
        name: job.name,
        labels: {
          [LABEL.managedBy]: 'castellan',
          [LABEL.kind]: 'sandbox',
          [LABEL.run]: owner.runId,
          [LABEL.workspace]: workspaceLabel(owner.workspaceId),
        },
        ownerReferences: [{ apiVersion: 'batch/v1', kind: 'Job', name: job.name, uid: job.uid }],
      },
      data: way.data,
    },
  });
}

function readStored(data: WayData | undefined): Static<typeof Stored> | undefined {
  const text = data?.[EGRESS_KEY.credential];
  if (text === undefined) return undefined;
  const value: unknown = JSON.parse(Buffer.from(text, 'base64').toString());
  return Value.Check(Stored, value) ? value : undefined;
}

function newCredential(): EgressCredential {
  return { username: randomBytes(12).toString('hex'), password: randomBytes(32).toString('base64url') };
}

function urlOf({ username, password }: EgressCredential, address: string): string {
  return `http://${username}:${password}@${address}`;
}

function secretData(
  url: string,
  credential: EgressCredential,
  allowDomains: readonly string[],
): Record<string, string> {
  const encoded = (text: string) => Buffer.from(text).toString('base64');
  return {
    [EGRESS_KEY.url]: encoded(url),
    [EGRESS_KEY.credential]: encoded(JSON.stringify({ ...credential, allowDomains })),
  };
}

/** Run or agent whose way out it has; of an agent, with what it may reach, which another launch may change. */
function idOf({ metadata: { labels = {}, annotations = {} } }: Pod): string | undefined {
  if (labels[LABEL.egress] !== 'proxy') return undefined;
  return labels[LABEL.run] ?? `${labels[LABEL.agent]} ${annotations[ANNOTATION.allowDomains]}`;
}

function secretName({ metadata: { labels = {} } }: Pod): string {
  const run = labels[LABEL.run];
  return run === undefined ? `agent-${labels[LABEL.agent]}` : `run-${run}`;
}

/** Pods have no name server: the address is looked up here. */
async function addressOf({ host, port }: HostPort): Promise<string> {
  try {
    const { address, family } = await lookup(host);
    return `${family === 6 ? `[${address}]` : address}:${port}`;
  } catch (cause) {
    throw new IsolationUnavailable(
      {
        check: 'egress-proxy',
        observed: `${host} has no address`,
        fix: 'Make CASTELLAN_KUBERNETES_EGRESS_PROXY a host that the service can look up.',
      },
      cause,
    );
  }
}

function noProxy(): IsolationUnavailable {
  return new IsolationUnavailable({
    check: 'egress-proxy',
    observed: 'pods have no way out, and an allowlist was asked for',
    fix: 'Set CASTELLAN_EGRESS_PORT and CASTELLAN_KUBERNETES_EGRESS_PROXY, or ask for no hosts.',
  });
}
