import type { Scaled } from '../agents/scale.ts';
import type { StartView, StopView } from '../agents/schema.ts';
import type { VersionedAgent } from '../agents/service.ts';
import { strongEtag } from '../http/etag.ts';
import { type Answer, ok } from '../idempotency/answer.ts';
import type { Template } from '../templates/template.ts';
import type { ScaledView, SpawnedView, StartedView, StoppedView, TemplateView } from './schema.ts';

/** 201 with what was spawned, which the v1 routes show in full. */
export function spawned({ agent }: VersionedAgent): Answer<SpawnedView> {
  const location = `/v1/workspaces/${agent.workspaceId}/agents/${agent.id}`;
  return { status: 201, headers: { location }, body: { agent_id: agent.id, status: 'stopped', mode: 'sandbox' } };
}

export function startedView(view: StartView): StartedView {
  const { success, agentId, status, managed, alreadyRunning, admission, decisionId, auditEvent } = view;
  return {
    success,
    agent_id: agentId,
    status,
    managed,
    ...(alreadyRunning === undefined ? {} : { already_running: alreadyRunning }),
    ...admissionOf(admission),
    ...(decisionId === undefined ? {} : { decision_id: decisionId }),
    ...(auditEvent === undefined ? {} : { audit_event: auditEvent }),
  };
}

export function stoppedView({ success, agentId, status, auditEvent }: StopView): StoppedView {
  return { success, agent_id: agentId, status, audit_event: auditEvent };
}

export function scaledView(scaled: Scaled): ScaledView {
  const { success, agentId, status, managed, replicas, previousReplicas, admission, decisionId, auditEvent } = scaled;
  return {
    success,
    agent_id: agentId,
    status,
    managed,
    replicas,
    previous_replicas: previousReplicas,
    ...admissionOf(admission),
    ...(decisionId === undefined ? {} : { decision_id: decisionId }),
    audit_event: auditEvent,
  };
}

export function templateView(template: Template): TemplateView {
  return {
    template_id: template.templateId,
    version: template.version,
    workspace_id: template.workspaceId,
    name: template.name,
    agent_config: template.config,
    config_hash: template.configHash,
    updated_at: template.createdAt.toISOString(),
    updated_by: template.createdBy,
  };
}

export function templateEtag(version: number): string {
  return strongEtag(String(version));
}

/** 201 with the template and where it is; its id alone is not enough for who may use several workspaces. */
export function createdTemplate(template: Template): Answer<TemplateView> {
  const location = `/api/v1/templates/${template.templateId}?workspace_id=${template.workspaceId}`;
  return {
    status: 201,
    headers: { etag: templateEtag(template.version), location },
    body: templateView(template),
  };
}

/** 200 with what `view` makes of a value. */
export function okAs<T>(view: (value: T) => object): (value: T) => Answer {
  return (value) => ok(view(value));
}

function admissionOf(admission: Scaled['admission'] | undefined): Pick<StartedView, 'admission'> {
  if (admission === undefined) return {};
  const { policyHash, checks, interceptors } = admission;
  return { admission: { policy_hash: policyHash, checks: [...checks], interceptors: [...interceptors] } };
}
