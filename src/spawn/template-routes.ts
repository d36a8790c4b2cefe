import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from '@sinclair/typebox';
import type { FastifyRequest } from 'fastify';

import { callerOf } from '../agents/caller.ts';
import { notModified, requireIfMatch } from '../http/etag.ts';
import { NotFound } from '../http/problem.ts';
import { answerWith } from '../idempotency/answer.ts';
import { claimOf } from '../idempotency/keyed-request.ts';
import type { Manifests } from '../manifests/manifests.ts';
import type { TemplateService } from '../templates/service.ts';
import {
  CreateTemplateBody,
  ListTemplatesQuery,
  PatchTemplateBody,
  TemplateList,
  TemplateParams,
  TemplateSchema,
  WorkspaceQuery,
} from './schema.ts';
import { createdTemplate, templateEtag, templateView } from './views.ts';
import { findNamedWorkspace, onlyWorkspace } from './workspace-of.ts';

const TEMPLATES = '/api/v1/templates';
const TEMPLATE = `${TEMPLATES}/:template_id`;
const tags = ['agent manager'];
/** The workspace comes from the body or the query, or is the one that has the template. */
const scope = 'agent' as const;

export interface TemplateRoutesOptions {
  readonly templates: TemplateService;
  readonly manifests: Pick<Manifests, 'present'>;
}

/** What agents are spawned from: creating, listing, reading, changing and deleting templates. */
export const templateRoutes: FastifyPluginAsyncTypebox<TemplateRoutesOptions> = async (
  app,
  { templates, manifests },
) => {
  app.post(
    TEMPLATES,
    {
      config: {
        permission: 'templates.write',
        manifest: true,
        audit: ['template.created', 'manifest.accepted', 'manifest.rejected'],
        scope,
      },
      schema: {
        operationId: 'createTemplate',
        tags,
        summary: 'Create a template; its id is unique in the workspace, and a new UUID when none is sent',
        body: CreateTemplateBody,
        response: { 201: TemplateSchema },
      },
      preHandler: async (request) => {
        findNamedWorkspace(request, request.body.workspace_id, '/workspace_id');
      },
    },
    async (request, reply) => {
      const { foundWorkspace: workspaceId } = request;
      const { template_id: templateId, version, name, agent_config: config, manifest: presented } = request.body;
      const named = {
        ...(templateId === undefined ? {} : { templateId }),
        ...(version === undefined ? {} : { version }),
      };
      const caller = callerOf(request);
      const claim = claimOf(request, createdTemplate);
      const template = await manifests.present(presented, { workspaceId, caller }, (manifest) =>
        templates.create(workspaceId, { ...named, name, config }, manifest, caller, claim),
      );
      return answerWith(reply, createdTemplate(template));
    },
  );

  app.get(
    TEMPLATES,
    {
      config: { permission: 'templates.read', audit: [], scope },
      schema: {
        operationId: 'listTemplates',
        tags,
        summary: 'Templates by id; a page may be shorter than its limit when the configs are large',
        querystring: ListTemplatesQuery,
        response: { 200: TemplateList },
      },
      preHandler: async (request) => {
        findNamedWorkspace(request, request.query.workspace_id, '/query/workspace_id');
      },
    },
    async (request) => {
      const { workspace_id: _, ...page } = request.query;
      const { templates: listed, nextCursor } = await templates.list(request.foundWorkspace, page);
      return { templates: listed.map(templateView), next_cursor: nextCursor };
    },
  );

  app.get(
    TEMPLATE,
    {
      config: { permission: 'templates.read', audit: [], scope, conditions: ['if-none-match'] },
      schema: {
        operationId: 'getTemplate',
        tags,
        summary: 'One template in its present version, which the ETag names',
        params: TemplateParams,
        querystring: WorkspaceQuery,
        response: { 200: TemplateSchema, 304: Type.Null() },
      },
      preHandler: (request) => found(request, request.params.template_id, request.query.workspace_id),
    },
    async (request, reply) => {
      const template = await templates.get(request.foundWorkspace, request.params.template_id);
      return notModified(request, reply, templateEtag(template.version)) ? reply.send(null) : templateView(template);
    },
  );

  app.patch(
    TEMPLATE,
    {
      config: {
        permission: 'templates.write',
        manifest: true,
        audit: ['template.updated', 'manifest.accepted', 'manifest.rejected'],
        scope,
        conditions: ['if-match'],
      },
      schema: {
        operationId: 'patchTemplate',
        tags,
        summary: 'A new version: another name, a merge patch (RFC 7396) of the config, or both; honours If-Match',
        params: TemplateParams,
        querystring: WorkspaceQuery,
        body: PatchTemplateBody,
        response: { 200: TemplateSchema },
      },
      preHandler: (request) => found(request, request.params.template_id, request.query.workspace_id),
    },
    async (request, reply) => {
      const { foundWorkspace: workspaceId } = request;
      const { name, agent_config: config, manifest: presented } = request.body;
      const change = { ...(name === undefined ? {} : { name }), ...(config === undefined ? {} : { config }) };
      const caller = callerOf(request);
      const precondition = (version: number) => requireIfMatch(request, templateEtag(version));
      const id = request.params.template_id;
      const template = await manifests.present(presented, { workspaceId, caller }, (manifest) =>
        templates.update(workspaceId, id, change, manifest, precondition, caller),
      );
      reply.header('etag', templateEtag(template.version));
      return templateView(template);
    },
  );

  app.delete(
    TEMPLATE,
    {
      config: { permission: 'templates.write', audit: ['template.deleted'], scope, conditions: ['if-match'] },
      schema: {
        operationId: 'deleteTemplate',
        tags,
        summary: 'Delete a template; its versions stay as evidence, and agents spawned from it stay as they are',
        params: TemplateParams,
        querystring: WorkspaceQuery,
        response: { 204: Type.Null() },
      },
      preHandler: (request) => found(request, request.params.template_id, request.query.workspace_id),
    },
    async (request, reply) => {
      const precondition = (version: number) => requireIfMatch(request, templateEtag(version));
      await templates.remove(request.foundWorkspace, request.params.template_id, precondition, callerOf(request));
      return reply.code(204).send(null);
    },
  );

  /** The workspace that is named, the caller's only one, or the only one of the caller's that has the template. */
  async function found(request: FastifyRequest, id: string, named: string | undefined): Promise<void> {
    if (named === undefined && onlyWorkspace(request) === undefined) {
      const holders = await templates.workspaceOf(id, request.principal.workspaces);
      if (holders === 'none') throw new NotFound();
      const only = holders === 'several' ? undefined : holders.only;
      findNamedWorkspace(request, only, '/query/workspace_id');
      return;
    }
    findNamedWorkspace(request, named, '/query/workspace_id');
  }
};
