import { resolve } from 'node:path';

import type { SettingsReader } from './read.ts';
import type { SettingName } from './settings.ts';

export type RuntimeDriverName = 'bubblewrap' | 'kubernetes';

/** What one sandbox run, or one replica of an agent, may have at most. */
export interface ResourceCeilings {
  /** Cores. */
  readonly cpu: number;
  readonly memoryMb: number;
  readonly pids: number;
  readonly diskMb: number;
}

/** Where agents and sandbox runs are run. */
export interface RuntimeConfig {
  /** `off`: nothing is run here. */
  readonly driver: RuntimeDriverName | 'off';
  /** Whether a replica that cannot isolate is not ready. */
  readonly required: boolean;
  readonly ceilings: ResourceCeilings;
  readonly bubblewrap: BubblewrapConfig;
  readonly kubernetes: KubernetesConfig;
  readonly egress: EgressConfig;
  readonly sandbox: SandboxConfig;
  readonly agents: AgentProcessConfig;
}

export interface BubblewrapConfig {
  readonly stateDir: string | undefined;
  readonly cgroup: string | undefined;
  readonly degradedLimits: boolean;
  readonly uidBase: number;
  readonly slots: number;
  /** Absolute paths. */
  readonly toolchains: readonly string[];
}

export interface KubernetesConfig {
  readonly kubeconfigFile: string | undefined;
  readonly namespace: string;
  readonly image: string | undefined;
  readonly runtimeClass: string | undefined;
  readonly egressProxy: HostPort | undefined;
}

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

export interface EgressConfig {
  readonly internalHosts: readonly HostPort[];
  /** Absent: no listener for pods. */
  readonly listen: HostPort | undefined;
}

export interface SandboxConfig {
  readonly concurrency: number;
  readonly workspaceConcurrency: number;
  readonly queue: number;
  readonly retentionDays: number;
}

export interface AgentProcessConfig {
  readonly secretsDir: string | undefined;
  /** By `workspace/name`; read when an agent starts. */
  readonly secretsEnv: ReadonlyMap<string, string>;
  readonly stopGraceMs: number;
  readonly logBytes: number;
}

const HOST_PORT = /^([a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?):([1-9]\d{0,4})$/;
/** By its last label, as every parser of addresses tells one from a name. */
const ADDRESS = /(?:^|\.)(?:\d+|0x[0-9a-f]*)$/;
const SECRET_FROM = /^([a-z0-9][a-z0-9-]{0,62}\/[A-Za-z0-9][A-Za-z0-9._-]{0,127})=([A-Za-z_][A-Za-z0-9_]*)$/;
const NAMESPACE = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** What is wrong with the settings is added to the reader's problems. */
export function readRuntime(read: SettingsReader): RuntimeConfig {
  const named = read.text('CASTELLAN_RUNTIME_DRIVER');
  const driver = named === 'kubernetes' || named === 'off' ? named : 'bubblewrap';
  return {
    driver,
    required: named === 'kubernetes' || named === 'bubblewrap',
    ceilings: {
      cpu: read.integer('CASTELLAN_SANDBOX_MAX_CPU'),
      memoryMb: read.integer('CASTELLAN_SANDBOX_MAX_MEMORY_MB'),
      pids: read.integer('CASTELLAN_SANDBOX_MAX_PIDS'),
      diskMb: read.integer('CASTELLAN_SANDBOX_MAX_DISK_MB'),
    },
    bubblewrap: {
      stateDir: read.path('CASTELLAN_RUNTIME_STATE_DIR'),
      cgroup: read.text('CASTELLAN_RUNTIME_CGROUP'),
      degradedLimits: read.boolean('CASTELLAN_RUNTIME_DEGRADED_LIMITS') ?? false,
      uidBase: read.integer('CASTELLAN_RUNTIME_UID_BASE'),
      slots: read.integer('CASTELLAN_RUNTIME_SLOTS'),
      toolchains: toolchains(read),
    },
    kubernetes: kubernetes(read, driver),
    egress: {
      internalHosts: read
        .list('CASTELLAN_EGRESS_INTERNAL_HOSTS')
        .flatMap((item) => namedHost(read, 'CASTELLAN_EGRESS_INTERNAL_HOSTS', item) ?? []),
      listen: egressListener(read),
    },
    sandbox: {
      concurrency: read.integer('CASTELLAN_SANDBOX_CONCURRENCY'),
      workspaceConcurrency: read.integer('CASTELLAN_SANDBOX_WORKSPACE_CONCURRENCY'),
      queue: read.integer('CASTELLAN_SANDBOX_QUEUE'),
      retentionDays: read.integer('CASTELLAN_SANDBOX_RETENTION_DAYS'),
    },
    agents: {
      secretsDir: read.path('CASTELLAN_AGENT_SECRETS_DIR'),
      secretsEnv: secretsEnv(read),
      stopGraceMs: read.integer('CASTELLAN_AGENT_STOP_GRACE_SECONDS') * 1000,
      logBytes: read.integer('CASTELLAN_AGENT_LOG_KB') * 1024,
    },
  };
}

function kubernetes(read: SettingsReader, driver: RuntimeConfig['driver']): KubernetesConfig {
  const namespace = read.required('CASTELLAN_KUBERNETES_NAMESPACE');
  if (!NAMESPACE.test(namespace)) read.problem('CASTELLAN_KUBERNETES_NAMESPACE is not the name of a namespace');
  const proxy = read.text('CASTELLAN_KUBERNETES_EGRESS_PROXY');
  return {
    kubeconfigFile: read.path('CASTELLAN_KUBERNETES_KUBECONFIG'),
    namespace,
    image:
      driver === 'kubernetes' ? read.required('CASTELLAN_KUBERNETES_IMAGE') : read.text('CASTELLAN_KUBERNETES_IMAGE'),
    runtimeClass: read.text('CASTELLAN_KUBERNETES_RUNTIME_CLASS'),
    egressProxy: proxy === undefined ? undefined : hostPort(read, 'CASTELLAN_KUBERNETES_EGRESS_PROXY', proxy),
  };
}

function egressListener(read: SettingsReader): HostPort | undefined {
  if (read.text('CASTELLAN_EGRESS_PORT') === undefined) return undefined;
  return { host: read.required('CASTELLAN_EGRESS_HOST'), port: read.integer('CASTELLAN_EGRESS_PORT') };
}

function toolchains(read: SettingsReader): string[] {
  const paths = read.list('CASTELLAN_RUNTIME_TOOLCHAINS');
  const usable = (path: string) => /^\/[^/]/.test(path) && resolve(path) === path;
  if (!paths.every(usable))
    read.problem('CASTELLAN_RUNTIME_TOOLCHAINS must be absolute paths below /, without .. or a / at the end');
  return paths.filter(usable);
}

function secretsEnv(read: SettingsReader): Map<string, string> {
  const secrets = new Map<string, string>();
  for (const item of read.list('CASTELLAN_AGENT_SECRETS_ENV')) {
    const [, name, source] = SECRET_FROM.exec(item) ?? [];
    const value = source === undefined ? undefined : read.variable(source);
    if (name === undefined || secrets.has(name)) {
      read.problem('CASTELLAN_AGENT_SECRETS_ENV must be workspace/name=VARIABLE, each secret once');
    } else if (value === undefined || value === '') {
      read.problem(`CASTELLAN_AGENT_SECRETS_ENV: ${source} is not set`);
    } else {
      secrets.set(name, value);
    }
  }
  return secrets;
}

/** No address: an allowlist cannot name one, so that it would have no effect. */
function namedHost(read: SettingsReader, name: SettingName, text: string): HostPort | undefined {
  const found = hostPort(read, name, text);
  if (found === undefined || !ADDRESS.test(found.host)) return found;
  read.problem(`${name} must name hosts, not addresses: an allowlist cannot name an address`);
  return undefined;
}

function hostPort(read: SettingsReader, name: SettingName, text: string): HostPort | undefined {
  const [, host, port] = HOST_PORT.exec(text) ?? [];
  if (host !== undefined && Number(port) <= 65_535) return { host, port: Number(port) };
  read.problem(`${name} must be host:port`);
  return undefined;
}
