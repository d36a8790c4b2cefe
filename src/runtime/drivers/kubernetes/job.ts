import type { SandboxRequest } from '../../isolation.ts';
import type { Cluster } from './cluster.ts';
import { ANNOTATION, jobName, type Kind, LABEL, workspaceLabel } from './labels.ts';
import { podTemplate } from './pod-template.ts';
import { IDLE } from './scripts.ts';

/** Seconds that a job may take to get a place and an image, beyond the life of its run. */
const SETUP_SECONDS = 180;
/** Seconds after which the cluster itself removes what ended, when nobody else has. */
const TTL_SECONDS = 60;

export interface JobRequest
  extends Pick<SandboxRequest, 'runId' | 'workspaceId' | 'agentId' | 'limits' | 'lifetimeMs'> {
  readonly kind: Extract<Kind, 'sandbox' | 'canary'>;
  readonly egress: boolean;
}

/** The job of one sandbox: one pod, never a second one, and an end that the cluster sees to. */
export function sandboxJob({ config, service }: Cluster, request: JobRequest): object {
  const labels = {
    [LABEL.managedBy]: 'castellan',
    [LABEL.kind]: request.kind,
    [LABEL.run]: request.runId,
    [LABEL.workspace]: workspaceLabel(request.workspaceId),
    [LABEL.agent]: request.agentId,
    [LABEL.service]: service,
    ...(request.egress ? { [LABEL.egress]: 'proxy' } : {}),
  };
  const annotations = { [ANNOTATION.workspace]: request.workspaceId };
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name: jobName(request.runId), labels, annotations },
    spec: {
      backoffLimit: 0,
      completions: 1,
      parallelism: 1,
      activeDeadlineSeconds: Math.ceil(request.lifetimeMs / 1000) + SETUP_SECONDS,
      ttlSecondsAfterFinished: TTL_SECONDS,
      template: podTemplate(
        {
          id: request.runId,
          labels,
          annotations,
          image: config.image,
          command: IDLE,
          limits: request.limits,
          restartPolicy: 'Never',
          graceSeconds: 1,
          // The job's own deadline takes the pod away; this one leaves it, and says why.
          deadlineSeconds: Math.ceil(request.lifetimeMs / 1000),
        },
        config,
      ),
    },
  };
}
