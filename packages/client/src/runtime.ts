import type { Body, Input, OperationId } from './operations.ts';
import type { CallOptions } from './options.ts';
import type { Requester } from './requester.ts';

export type RuntimeCallOptions = Omit<CallOptions, 'ifMatch' | 'ifNoneMatch'>;

/** The request body of an operation. */
type Sent<Id extends OperationId> = Input<Id> extends { body?: infer Json } ? Exclude<Json, undefined> : never;
type Query<Id extends OperationId> = Input<Id> extends { query?: infer Found } ? Exclude<Found, undefined> : never;

/** What an application needs of whoever runs its agents. Every method throws CastellanError. */
export interface OrchestratorRuntime {
  /** Starts the agent if admission lets it; a denial is an error with `denies`. One that runs is left alone. */
  startAgent(
    workspaceId: string,
    agentId: string,
    options?: RuntimeCallOptions & Sent<'startAgent'>,
  ): Promise<Body<'startAgent'>>;
  stopAgent(
    workspaceId: string,
    agentId: string,
    options?: RuntimeCallOptions & Sent<'stopAgent'>,
  ): Promise<Body<'stopAgent'>>;
  getAgentStatus(workspaceId: string, agentId: string, options?: RuntimeCallOptions): Promise<Body<'getAgentStatus'>>;
  /** One page; `client.list('listAgentStatuses', …)` gives them all. */
  getAgentStatuses(
    workspaceId: string,
    query?: Query<'listAgentStatuses'>,
    options?: RuntimeCallOptions,
  ): Promise<Body<'listAgentStatuses'>>;
  fetchPolicySnapshot(workspaceId: string, options?: RuntimeCallOptions): Promise<Body<'getPolicySnapshot'>>;
  hotReloadPolicy(
    workspaceId: string,
    reload: Sent<'hotReloadPolicy'>,
    options?: RuntimeCallOptions,
  ): Promise<Body<'hotReloadPolicy'>>;
  /** Without agent ids: all governed agents of the workspace. */
  revalidateAgents(
    workspaceId: string,
    agentIds?: readonly string[],
    options?: RuntimeCallOptions,
  ): Promise<Body<'revalidateAgents'>>;
  getAgentGovernance(
    workspaceId: string,
    agentId: string,
    options?: RuntimeCallOptions,
  ): Promise<Body<'getAgentGovernance'>>;
}

/** The one implementation: what differs between the runtimes is how a request gets to the service. */
export function createRuntime({ request }: Requester): OrchestratorRuntime {
  return {
    startAgent: async (workspaceId, agentId, options = {}) => {
      const { replicas, ...rest } = options;
      const body = replicas === undefined ? {} : { body: { replicas } };
      return (await request('startAgent', { params: { workspaceId, agentId }, ...body }, rest)).body;
    },
    stopAgent: async (workspaceId, agentId, options = {}) => {
      const { reason, ...rest } = options;
      const body = reason === undefined ? {} : { body: { reason } };
      return (await request('stopAgent', { params: { workspaceId, agentId }, ...body }, rest)).body;
    },
    getAgentStatus: async (workspaceId, agentId, options) =>
      (await request('getAgentStatus', { params: { workspaceId, agentId } }, options)).body,
    getAgentStatuses: async (workspaceId, query = {}, options) =>
      (await request('listAgentStatuses', { params: { workspaceId }, query }, options)).body,
    fetchPolicySnapshot: async (workspaceId, options) =>
      given((await request('getPolicySnapshot', { params: { workspaceId } }, options)).body),
    hotReloadPolicy: async (workspaceId, body, options) =>
      (await request('hotReloadPolicy', { params: { workspaceId }, body }, options)).body,
    revalidateAgents: async (workspaceId, agentIds, options) => {
      const body = agentIds === undefined ? {} : { body: { agentIds } };
      return (await request('revalidateAgents', { params: { workspaceId }, ...body }, options)).body;
    },
    getAgentGovernance: async (workspaceId, agentId, options) =>
      (await request('getAgentGovernance', { params: { workspaceId, agentId } }, options)).body,
  };
}

/** Only an answer to If-None-Match has no body, and none was sent. */
function given<T>(body: T | undefined): T {
  if (body === undefined) throw new TypeError('304 without a condition');
  return body;
}
