import type {} from '@fastify/swagger';
import type { FastifyInstance, RouteOptions } from 'fastify';
import fastifyPlugin from 'fastify-plugin';
import { isLane, type Lane } from './lanes.ts';

/**
 * Where the workspace of a request comes from.
 * `workspace`: the path has `:workspaceId` (the default when it does) · `agent`: the handler finds it, and must call
 * `request.requireWorkspace` · `global`: no workspace; changing something then needs every workspace.
 */
type RouteScope = 'workspace' | 'agent' | 'global';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** A permission of identity/permissions.ts, or `authenticated` (any identity), or `public` (none). */
    permission?: string;
    /** Types of the audit events this route may write; empty for one that only reads. */
    audit?: readonly string[];
    /** Says that a POST, PUT, PATCH or DELETE changes nothing. */
    readOnly?: boolean;
    scope?: RouteScope;
    /** A global read that still needs every workspace, such as the `_system` chain. */
    allWorkspaces?: boolean;
    /** Says that the handler itself narrows what an agent sees to that agent; else the path must name the agent. */
    ownOnly?: 'handler';
    /** What the request may be kept waiting behind; by default `write` for what changes, `read` for the rest. */
    lane?: Lane;
  }
}

const CHANGING = new Set(['POST', 'PUT', 'PATCH', 'DELETE']);
const WITH_BODY = new Set(['POST', 'PUT', 'PATCH']);

export interface RouteContractOptions {
  readonly isPermission: (name: string) => boolean;
  /** Path prefixes of routes made by libraries: they need a permission, not a schema. */
  readonly exemptPrefixes?: readonly string[];
}

/** A route without its declarations. Thrown once at boot, with every violation. */
export class RouteContractViolation extends Error {
  readonly violations: readonly string[];
  constructor(violations: readonly string[]) {
    super(`Routes without their declarations:\n${violations.map((line) => `  ${line}`).join('\n')}`);
    this.name = 'RouteContractViolation';
    this.violations = violations;
  }
}

/** Makes boot fail unless every route declares its permission, its audit events and its schemas. Register it first. */
export const routeContractPlugin = fastifyPlugin(
  async (app: FastifyInstance, options: RouteContractOptions) => {
    const routes: RouteOptions[] = [];
    app.addHook('onRoute', (route) => {
      routes.push(route);
    });
    // Judged at the end: hooks of inner plugins may still complete a route they did not write.
    app.addHook('onReady', async () => {
      const violations = routes.flatMap((route) => violationsOf(route, options));
      const ids = routes.filter((route) => !isHeadOnly(route)).map((route) => route.schema?.operationId);
      const repeated = ids.filter((id, index) => id !== undefined && ids.indexOf(id) !== index);
      violations.push(...repeated.map((id) => `operationId ${id} is used twice`));
      if (violations.length > 0) throw new RouteContractViolation(violations);
    });
  },
  { name: 'route-contract', fastify: '5.x' },
);

/** What one route fails to declare, one line each. */
export function violationsOf(route: RouteOptions, options: RouteContractOptions): string[] {
  // Made by Fastify from the GET route, which is judged itself.
  if (isHeadOnly(route)) return [];
  const problems = [...permissionProblems(route, options)];
  const exempt = options.exemptPrefixes?.some((prefix) => route.url === prefix || route.url.startsWith(`${prefix}/`));
  if (exempt !== true) problems.push(...auditProblems(route), ...schemaProblems(route));
  const name = `${methodsOf(route).join('|')} ${route.url}`;
  return problems.map((problem) => `${name}: ${problem}`);
}

function permissionProblems(route: RouteOptions, options: RouteContractOptions): string[] {
  const { permission, scope, lane } = route.config ?? {};
  if (lane !== undefined && !isLane(lane)) return [`unknown lane ${lane}`];
  if (permission === undefined) return ['no config.permission'];
  if (permission === 'public' || permission === 'authenticated') return [];
  if (!options.isPermission(permission)) return [`unknown permission ${permission}`];
  const inPath = paramsOf(route.url).includes('workspaceId');
  if (inPath && scope !== undefined && scope !== 'workspace') return [`scope ${scope} on a path with :workspaceId`];
  if (!inPath && scope === 'workspace') return ['scope workspace on a path without :workspaceId'];
  return inPath || scope !== undefined ? [] : ['no config.scope on a path without :workspaceId'];
}

function auditProblems(route: RouteOptions): string[] {
  const { audit, readOnly } = route.config ?? {};
  if (audit === undefined) return ['no config.audit'];
  const changes = methodsOf(route).some((method) => CHANGING.has(method));
  if (changes && audit.length === 0 && readOnly !== true) return ['changes state without an audit event'];
  return [];
}

function schemaProblems(route: RouteOptions): string[] {
  const schema = route.schema ?? {};
  const problems: string[] = [];
  if (schema.operationId === undefined) problems.push('no schema.operationId');
  if (schema.tags === undefined || schema.tags.length === 0) problems.push('no schema.tags');
  if (schema.summary === undefined) problems.push('no schema.summary');
  if (!isRecord(schema.response) || Object.keys(schema.response).length === 0) problems.push('no schema.response');
  if (paramsOf(route.url).length > 0 && schema.params === undefined) problems.push('no schema.params');
  if (methodsOf(route).includes('GET') && schema.querystring === undefined) problems.push('no schema.querystring');
  if (schema.querystring !== undefined && !isClosed(schema.querystring)) problems.push('schema.querystring is open');
  if (methodsOf(route).some((method) => WITH_BODY.has(method)) && schema.body === undefined) {
    problems.push('no schema.body (say Type.Null() when there is none)');
  }
  return problems;
}

function isClosed(schema: unknown): boolean {
  return isRecord(schema) && schema['type'] === 'object' && schema['additionalProperties'] === false;
}

function isHeadOnly(route: RouteOptions): boolean {
  return methodsOf(route).every((method) => method === 'HEAD');
}

function methodsOf(route: RouteOptions): string[] {
  return [route.method].flat().map((method) => method.toUpperCase());
}

function paramsOf(url: string): string[] {
  return [...url.matchAll(/(?<!:):([A-Za-z_]+)/g)].map((match) => match[1] ?? '');
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
