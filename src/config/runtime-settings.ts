import type { Setting } from './settings.ts';

/** The settings of where agents and sandbox runs are run. */
export const RUNTIME_SETTINGS = {
  CASTELLAN_RUNTIME_DRIVER: {
    kind: 'text',
    default: 'auto',
    oneOf: ['auto', 'bubblewrap', 'kubernetes', 'off'],
    doc: 'Where agents with a runtime and sandbox runs are run. auto: bubblewrap, and where it cannot isolate they are refused, but the service is ready all the same. off: every agent runs elsewhere.',
  },
  CASTELLAN_RUNTIME_STATE_DIR: {
    kind: 'path',
    doc: 'Directory for what isolated processes need while they run. Unset: one of its own user below the directory for temporary files.',
  },
  CASTELLAN_RUNTIME_CGROUP: {
    kind: 'path',
    doc: 'Cgroup (a path below its mount) under which those of isolated processes are made. Unset: that of the service.',
  },
  CASTELLAN_RUNTIME_DEGRADED_LIMITS: {
    kind: 'boolean',
    default: 'false',
    doc: 'true: run also where limits of memory, processes and disk cannot be enforced; every result then says so. Namespaces and seccomp are never optional.',
  },
  CASTELLAN_RUNTIME_UID_BASE: {
    kind: 'integer',
    default: '210000',
    min: 65_536,
    max: 4_000_000_000,
    doc: 'First of the user and group ids that isolated processes get when the service runs as root, each its own.',
  },
  CASTELLAN_RUNTIME_SLOTS: {
    kind: 'integer',
    default: '256',
    min: 1,
    max: 10_000,
    doc: 'Replicas of agents and sandbox runs that this process isolates at once.',
  },
  CASTELLAN_RUNTIME_TOOLCHAINS: {
    kind: 'text',
    default: '',
    doc: 'Directories, comma separated absolute paths, that every isolated process may read, such as /opt/node.',
  },
  CASTELLAN_SANDBOX_CONCURRENCY: {
    kind: 'integer',
    default: '8',
    min: 1,
    max: 1000,
    doc: 'Sandbox runs under way at once on this replica.',
  },
  CASTELLAN_SANDBOX_WORKSPACE_CONCURRENCY: {
    kind: 'integer',
    default: '4',
    min: 1,
    max: 1000,
    doc: 'Sandbox runs of one workspace under way at once on this replica.',
  },
  CASTELLAN_SANDBOX_QUEUE: {
    kind: 'integer',
    default: '64',
    max: 10_000,
    doc: 'Sandbox runs that may wait for a place on this replica; more are refused.',
  },
  CASTELLAN_SANDBOX_RETENTION_DAYS: {
    kind: 'integer',
    default: '30',
    min: 1,
    max: 3650,
    doc: 'Days that the results of a sandbox run are kept.',
  },
  CASTELLAN_SANDBOX_MAX_CPU: {
    kind: 'integer',
    default: '2',
    min: 1,
    max: 256,
    doc: 'Cores that one sandbox run or replica may have at most; a workspace can set less.',
  },
  CASTELLAN_SANDBOX_MAX_MEMORY_MB: {
    kind: 'integer',
    default: '2048',
    min: 16,
    max: 1_048_576,
    doc: 'MiB of memory that one sandbox run or replica may have at most; a workspace can set less.',
  },
  CASTELLAN_SANDBOX_MAX_PIDS: {
    kind: 'integer',
    default: '512',
    min: 8,
    max: 65_536,
    doc: 'Processes and threads that one sandbox run or replica may have at most; a workspace can set less.',
  },
  CASTELLAN_SANDBOX_MAX_DISK_MB: {
    kind: 'integer',
    default: '1024',
    min: 1,
    max: 1_048_576,
    doc: 'MiB that the working directory of one sandbox run or replica may have at most; a workspace can set less.',
  },
  CASTELLAN_EGRESS_INTERNAL_HOSTS: {
    kind: 'text',
    default: '',
    doc: 'host:port, comma separated, that an allowlist may name although their addresses are private. Loopback, link-local and metadata addresses stay refused.',
  },
  CASTELLAN_EGRESS_HOST: { kind: 'text', default: '127.0.0.1', doc: 'Address of the egress proxy for pods.' },
  CASTELLAN_EGRESS_PORT: {
    kind: 'port',
    doc: 'Port of the egress proxy for pods. Unset: there is none; on this machine sandboxes reach it by a socket of their own.',
  },
  CASTELLAN_AGENT_SECRETS_DIR: {
    kind: 'path',
    doc: 'Where the secretRef of governed agents is looked up: <directory>/<workspace>/<name>, such as a mounted secret.',
  },
  CASTELLAN_AGENT_SECRETS_ENV: {
    kind: 'text',
    default: '',
    doc: 'Further secrets of agents from variables of the service: workspace/name=VARIABLE, comma separated.',
  },
  CASTELLAN_AGENT_STOP_GRACE_SECONDS: {
    kind: 'integer',
    default: '10',
    max: 60,
    doc: 'Seconds between SIGTERM and SIGKILL when an agent is stopped. A quarantine or a kill switch gives none.',
  },
  CASTELLAN_AGENT_LOG_KB: {
    kind: 'integer',
    default: '1024',
    min: 16,
    max: 65_536,
    doc: 'KiB of output kept for an agent; the oldest goes first.',
  },
  CASTELLAN_KUBERNETES_KUBECONFIG: {
    kind: 'path',
    doc: 'kubeconfig of the cluster. Unset: the service account of the pod that the service runs in.',
  },
  CASTELLAN_KUBERNETES_NAMESPACE: {
    kind: 'text',
    default: 'castellan-agents',
    doc: 'Namespace for agents and sandbox runs, and for nothing else.',
  },
  CASTELLAN_KUBERNETES_IMAGE: {
    kind: 'text',
    doc: 'Image, best by digest, in which sandbox runs and agents without an image of their own are run.',
  },
  CASTELLAN_KUBERNETES_RUNTIME_CLASS: { kind: 'text', doc: 'RuntimeClass of their pods, such as gvisor.' },
  CASTELLAN_KUBERNETES_EGRESS_PROXY: {
    kind: 'text',
    doc: 'host:port at which pods reach the egress proxy. Unset: pods have no egress.',
  },
} as const satisfies Record<string, Setting>;
