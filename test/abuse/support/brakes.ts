import type { Operation } from './document.ts';
import type { Plan } from './plans.ts';

export interface Step {
  readonly method: string;
  readonly path: string;
  readonly body: object;
  /** Also when what it is about is gone. */
  readonly mayBeGone?: boolean;
}

const REASON = { reason: 'it is tried out' };
const EXISTING = new Set(['demo', 'other']);
const DEFAULTS = {
  approvalsRequired: null,
  reapproveOnPolicyChange: null,
  defaultTtlSeconds: null,
  limits: null,
  sandbox: null,
};

const SWITCH = {
  on: { method: 'PUT', path: '/kill-switch', body: REASON },
  off: { method: 'DELETE', path: '/kill-switch', body: REASON },
};
const SUSPENSION = {
  on: { method: 'POST', path: '/suspend', body: REASON },
  off: { method: 'POST', path: '/resume', body: REASON },
};
const SETTINGS = { off: { method: 'PATCH', path: '/settings', body: DEFAULTS } };

/** What one operation puts in force for requests to come, and another ends; paths are below those of the resource. */
const BRAKES: Readonly<Record<string, { readonly on?: Step; readonly off: Step; readonly ends: boolean }>> = {
  engageKillSwitch: { ...SWITCH, ends: false },
  clearKillSwitch: { ...SWITCH, ends: true },
  engageWorkspaceKillSwitch: { ...SWITCH, ends: false },
  clearWorkspaceKillSwitch: { ...SWITCH, ends: true },
  engageAgentKillSwitch: { ...SWITCH, ends: false },
  clearAgentKillSwitch: { ...SWITCH, ends: true },
  suspendWorkspace: { ...SUSPENSION, ends: false },
  resumeWorkspace: { ...SUSPENSION, ends: true },
  patchWorkspaceSettings: { ...SETTINGS, ends: false },
};

/** What puts it in force before a request that is to end it, and what takes it back after a request. */
export function brakeOf(
  { operationId, path }: Operation,
  { params }: Plan,
  workspaceOf: (agentId: string) => string | undefined,
): { readonly before?: Step; readonly after?: Step } {
  const brake = BRAKES[operationId];
  const { workspaceId, agentId } = params;
  if (brake === undefined || !isThere(workspaceId, agentId, workspaceOf)) return {};
  const base = path
    .replace(/\/[^/]+$/, '')
    .replace('{workspaceId}', workspaceId ?? '')
    .replace('{agentId}', agentId ?? '');
  const at = (step: Step): Step => ({ ...step, path: `${base}${step.path}`, mayBeGone: agentId !== undefined });
  const after = at(brake.off);
  return brake.ends && brake.on !== undefined ? { before: at(brake.on), after } : { after };
}

function isThere(
  workspaceId: string | undefined,
  agentId: string | undefined,
  workspaceOf: (agentId: string) => string | undefined,
): boolean {
  if (workspaceId !== undefined && !EXISTING.has(workspaceId)) return false;
  return agentId === undefined || workspaceOf(agentId) === workspaceId;
}
