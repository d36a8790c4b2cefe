import { createHash } from 'node:crypto';

import type { KubernetesConfig } from '../../../config/runtime.ts';
import type { Limits } from '../../isolation.ts';
import { CONTAINER, LABEL } from './labels.ts';

const MIB = 1_048_576;
/** Bytes of /tmp and of /dev/shm. They and the working directory are memory, and are charged as such. */
const TMP = 64 * MIB;
const SHM = 16 * MIB;
/** A working directory above this is on the disk of the node: then the kubelet evicts what writes more, some time later. */
const MEMORY_BACKED = 1024 * MIB;
/** Bytes of logs and of the container itself. */
const EPHEMERAL = 128 * MIB;
/** Below 65536, where a user namespace of the pod still has it. */
const [FIRST_UID, UIDS] = [10_000, 50_000] as const;

export interface PodRequest {
  /** What the uid is made from: every sandbox its own, so that a limit of processes counts its own. */
  readonly id: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly image: string;
  readonly command: readonly string[] | undefined;
  readonly args?: readonly string[];
  readonly env?: readonly EnvVar[];
  readonly limits: Limits;
  readonly restartPolicy: 'Never' | 'Always';
  readonly graceSeconds: number;
  /** From when it runs; then the kubelet ends it. */
  readonly deadlineSeconds?: number;
  readonly gate?: string;
  /** Those of its keys are files in /run/secrets. */
  readonly secret?: { readonly name: string; readonly files: readonly string[] } | undefined;
}

export type EnvVar =
  | { readonly name: string; readonly value: string }
  | {
      readonly name: string;
      readonly valueFrom: { readonly secretKeyRef: { readonly name: string; readonly key: string } };
    };

/**
 * A pod that meets Pod Security "restricted" and more: nothing of the host, no token, no names of services, a name server that
 * is none, requests as high as limits.
 */
export function podTemplate(request: PodRequest, cluster: Pick<KubernetesConfig, 'runtimeClass'>): object {
  const { limits } = request;
  const uid = uidOf(request.id);
  const inMemory = limits.diskBytes <= MEMORY_BACKED;
  const resources = {
    cpu: `${Math.max(1, Math.ceil(limits.cpu * 1000))}m`,
    memory: String(limits.memoryBytes + TMP + SHM + (inMemory ? limits.diskBytes : 0)),
    'ephemeral-storage': String(EPHEMERAL + (inMemory ? 0 : limits.diskBytes)),
  };
  return {
    metadata: {
      labels: { ...request.labels, [LABEL.managedBy]: 'castellan' },
      ...(request.annotations === undefined ? {} : { annotations: request.annotations }),
    },
    spec: {
      ...(cluster.runtimeClass === undefined ? {} : { runtimeClassName: cluster.runtimeClass }),
      ...(request.gate === undefined ? {} : { schedulingGates: [{ name: request.gate }] }),
      ...(request.deadlineSeconds === undefined ? {} : { activeDeadlineSeconds: request.deadlineSeconds }),
      restartPolicy: request.restartPolicy,
      terminationGracePeriodSeconds: request.graceSeconds,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      hostNetwork: false,
      hostPID: false,
      hostIPC: false,
      shareProcessNamespace: false,
      hostname: 'sandbox',
      // Names could carry out what no connection does.
      dnsPolicy: 'None',
      dnsConfig: { nameservers: ['127.0.0.1'] },
      securityContext: {
        runAsNonRoot: true,
        runAsUser: uid,
        runAsGroup: uid,
        fsGroup: uid,
        seccompProfile: { type: 'RuntimeDefault' },
      },
      containers: [
        {
          name: CONTAINER,
          image: request.image,
          ...(request.command === undefined ? {} : { command: request.command }),
          ...(request.args === undefined || request.args.length === 0 ? {} : { args: request.args }),
          workingDir: '/workspace',
          env: request.env ?? [],
          resources: { requests: resources, limits: resources },
          securityContext: {
            allowPrivilegeEscalation: false,
            privileged: false,
            readOnlyRootFilesystem: true,
            runAsNonRoot: true,
            capabilities: { drop: ['ALL'] },
            seccompProfile: { type: 'RuntimeDefault' },
          },
          volumeMounts: [
            { name: 'workspace', mountPath: '/workspace' },
            { name: 'tmp', mountPath: '/tmp' },
            { name: 'shm', mountPath: '/dev/shm' },
            ...(request.secret === undefined ? [] : [{ name: 'secrets', mountPath: '/run/secrets', readOnly: true }]),
          ],
        },
      ],
      volumes: [
        { name: 'workspace', emptyDir: emptyDir(limits.diskBytes, inMemory) },
        { name: 'tmp', emptyDir: emptyDir(TMP, true) },
        { name: 'shm', emptyDir: emptyDir(SHM, true) },
        ...(request.secret === undefined ? [] : [{ name: 'secrets', secret: secretVolume(request.secret) }]),
      ],
    },
  };
}

function secretVolume({ name, files }: { readonly name: string; readonly files: readonly string[] }): object {
  return { secretName: name, defaultMode: 0o440, items: files.map((file) => ({ key: file, path: file })) };
}

function emptyDir(bytes: number, inMemory: boolean): object {
  return { sizeLimit: String(bytes), ...(inMemory ? { medium: 'Memory' } : {}) };
}

function uidOf(id: string): number {
  return FIRST_UID + (createHash('sha256').update(id).digest().readUInt32BE(0) % UIDS);
}
