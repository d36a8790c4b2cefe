import type { Caller } from '../agents/caller.ts';
import type { AgentService, VersionedAgent } from '../agents/service.ts';
import { parseSpec } from '../agents/spec.ts';
import type { Claim } from '../audit/append.ts';
import type { CodedError } from '../errors.ts';
import { mergePatch } from '../http/merge-patch.ts';
import type { TemplateService } from '../templates/service.ts';

export interface SpawnRequest {
  readonly agent_config: Readonly<Record<string, unknown>>;
  readonly template_id?: string;
  readonly manifest?: unknown;
}

/**
 * A new, stopped sandbox agent with the config that was sent, merged over that of the template where one is named. Throws
 * what the creation of an agent throws, and NotFound for a template that the workspace does not have.
 */
export type Spawn = (
  workspaceId: string,
  request: SpawnRequest,
  caller: Caller,
  claim?: Claim<VersionedAgent | CodedError>,
) => Promise<VersionedAgent>;

export function createSpawn(parts: {
  readonly templates: Pick<TemplateService, 'get'>;
  readonly create: AgentService['create'];
}): Spawn {
  const { templates, create } = parts;
  return async (workspaceId, { agent_config: config, template_id: templateId, manifest }, caller, claim) => {
    if (templateId === undefined) {
      return create(workspaceId, { spec: parseSpec(config, '/agent_config'), manifest }, caller, claim);
    }
    const template = await templates.get(workspaceId, templateId);
    const spec = parseSpec(mergePatch(template.config, config), '/agent_config');
    const from = { templateId, version: template.version };
    return create(workspaceId, { spec, manifest, template: from }, caller, claim);
  };
}
