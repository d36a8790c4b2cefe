import { createHash } from 'node:crypto';

/** What is ours in the namespace, so that it is found again and nothing else is touched. */
export const MANAGED = 'app.kubernetes.io/managed-by=castellan';

export const LABEL = {
  managedBy: 'app.kubernetes.io/managed-by',
  kind: 'castellan.dev/kind',
  workspace: 'castellan.dev/workspace',
  agent: 'castellan.dev/agent',
  run: 'castellan.dev/run',
  /** Host name of the service that made it, for people: two services may have the same one. */
  service: 'castellan.dev/service',
  /** `proxy`: the network policies let it reach the egress proxy, and nothing else. */
  egress: 'castellan.dev/egress',
} as const;

export const ANNOTATION = {
  workspace: 'castellan.dev/workspace-id',
  generation: 'castellan.dev/generation',
  /** JSON: what the agent may reach. */
  allowDomains: 'castellan.dev/allow-domains',
} as const;

export const ADMISSION_GATE = 'castellan.dev/admission';
export const CONTAINER = 'main';

export type Kind = 'sandbox' | 'agent' | 'canary';

/** A workspace id may end with a dash, which no label may; then a digest stands for it. The annotation has the id itself. */
export function workspaceLabel(workspaceId: string): string {
  if (!workspaceId.endsWith('-')) return workspaceId;
  return `sha256.${createHash('sha256').update(workspaceId).digest('hex').slice(0, 32)}`;
}

/** A host name as a label. */
export function serviceLabel(name: string): string {
  const usable = name.replaceAll(/[^A-Za-z0-9_.-]/g, '-').slice(0, 63);
  return usable.replace(/^[^A-Za-z0-9]+/, '').replace(/[^A-Za-z0-9]+$/, '') || 'castellan';
}

export function jobName(runId: string): string {
  return `run-${runId}`;
}

export function agentName(agentId: string): string {
  return `agent-${agentId}`;
}
