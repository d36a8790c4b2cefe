import type { AuditAppender, Claim } from '../audit/append.ts';
import type { Manifests } from '../manifests/manifests.ts';
import type { PolicyService } from '../policy/service.ts';
import type { RuntimeRegistry } from '../runtime/registry.ts';
import type { Trx } from '../storage/database.ts';
import type { Storage } from '../storage/storage.ts';
import type { WorkspaceSettingsService } from '../workspace-settings/service.ts';
import type { Caller } from './caller.ts';
import { AgentError } from './errors.ts';
import { isActive } from './lifecycle.ts';
import { found, known } from './lookup.ts';
import { agentView } from './representation.ts';
import type { AgentView } from './schema.ts';
import { parseSpec, toStoredSpec } from './spec.ts';
import { createSpecChanges, type SourceTemplate, storedSpec } from './spec-changes.ts';
import { type AgentRow, deleteAgent, findAgent, mayHaveProcesses } from './store.ts';

/** An agent and the version of its row, which the ETag names. */
export interface VersionedAgent {
  readonly agent: AgentView;
  readonly rowVersion: number;
}

/** The envelope that came with the request, as it was sent; undefined for none. */
interface WithManifest {
  readonly manifest?: unknown;
}

interface NewAgentRequest extends WithManifest {
  readonly spec: unknown;
  readonly ttlSeconds?: number;
  /** What the spec was made of, where it was spawned. */
  readonly template?: SourceTemplate;
}

/**
 * What agents are: their specs and their life outside of running. Every unknown agent is NotFound. What makes a spec checks
 * the manifest that came with it, and throws ManifestError, also for the want of one (contract §5, §6).
 */
export interface AgentService {
  /**
   * A new, stopped sandbox agent. Throws ValidationFailed, AgentError SPEC_NOT_CANONICAL, WorkspaceLimitReached.
   */
  create(
    workspaceId: string,
    request: NewAgentRequest,
    caller: Caller,
    claim?: Claim<VersionedAgent>,
  ): Promise<VersionedAgent>;
  get(workspaceId: string, agentId: string): Promise<VersionedAgent>;
  /**
   * Merges a patch into the spec of a stopped sandbox agent; a result equal to the present spec changes nothing.
   * `precondition` is called with the row's version under the lock and throws when the caller meant another.
   */
  patch(
    workspaceId: string,
    agentId: string,
    request: { spec: unknown } & WithManifest,
    precondition: (rowVersion: number) => void,
    caller: Caller,
  ): Promise<VersionedAgent>;
  /** A new sandbox agent with the spec of another. */
  fork(
    workspaceId: string,
    agentId: string,
    request: { name?: string; ttlSeconds?: number } & WithManifest,
    caller: Caller,
    claim?: Claim<VersionedAgent>,
  ): Promise<VersionedAgent>;
  /** Throws AgentError AGENT_RUNNING unless the agent is idle; `precondition` as for `patch`. */
  remove(
    workspaceId: string,
    agentId: string,
    caller: Caller,
    options?: { readonly precondition?: (rowVersion: number) => void; readonly claim?: Claim<void> | undefined },
  ): Promise<void>;
}

interface Parts {
  readonly storage: Storage;
  readonly audit: AuditAppender;
  readonly policy: Pick<PolicyService, 'bumpRevision'>;
  readonly runtimes: RuntimeRegistry;
  readonly manifests: Pick<Manifests, 'present' | 'accept'>;
  /** Asked in the unit of a change, so that a suspension and a limit hold exactly. */
  readonly workspaces: Pick<WorkspaceSettingsService, 'requireActive' | 'requireRoom'>;
  /** In the unit that deletes an agent: what goes with it. Throws AgentError AGENT_RUNNING. */
  readonly removeWith?: (trx: Trx, workspaceId: string, agentId: string) => Promise<void>;
}

export function createAgentService(parts: Parts): AgentService {
  const { storage, audit, policy, manifests, workspaces, removeWith } = parts;
  const changes = createSpecChanges(parts);

  async function create(
    workspaceId: string,
    { spec: sent, ttlSeconds, manifest: presented, template }: NewAgentRequest,
    caller: Caller,
    claim?: Claim<VersionedAgent>,
  ): Promise<VersionedAgent> {
    const spec = parseSpec(sent);
    const stored = toStoredSpec(spec);
    return manifests.present(presented, { workspaceId, caller }, (manifest) => {
      const fresh = { spec, stored, ttlSeconds, from: null, template, manifest };
      return audit.commit({
        chain: workspaceId,
        claim,
        work: async (scope) => versioned(await changes.add(scope, workspaceId, fresh, caller)),
      });
    });
  }

  async function get(workspaceId: string, agentId: string): Promise<VersionedAgent> {
    return versioned(await storage.read(workspaceId, (trx) => findAgent(trx, workspaceId, known(agentId))));
  }

  async function patch(
    workspaceId: string,
    agentId: string,
    { spec: patch, manifest: presented }: { spec: unknown } & WithManifest,
    precondition: (rowVersion: number) => void,
    caller: Caller,
  ): Promise<VersionedAgent> {
    known(agentId);
    return manifests.present(presented, { workspaceId, caller }, (manifest) =>
      audit.commit({
        chain: workspaceId,
        work: async (scope) => {
          const row = found(await findAgent(scope.trx, workspaceId, agentId));
          precondition(Number(row.version));
          await workspaces.requireActive(scope.trx, workspaceId);
          requirePatchable(row);
          return versioned(await changes.patch(scope, row, { patch, manifest }, caller));
        },
      }),
    );
  }

  async function fork(
    workspaceId: string,
    agentId: string,
    { name, ttlSeconds, manifest: presented }: { name?: string; ttlSeconds?: number } & WithManifest,
    caller: Caller,
    claim?: Claim<VersionedAgent>,
  ): Promise<VersionedAgent> {
    known(agentId);
    return manifests.present(presented, { workspaceId, caller }, (manifest) =>
      audit.commit({
        chain: workspaceId,
        claim,
        work: async (scope) => {
          const source = found(await findAgent(scope.trx, workspaceId, agentId));
          const spec = parseSpec({ ...storedSpec(source), ...(name === undefined ? {} : { name }) });
          const from = { agentId, specVersion: source.spec_version };
          const fresh = { spec, stored: toStoredSpec(spec), ttlSeconds, from, manifest };
          return versioned(await changes.add(scope, workspaceId, fresh, caller));
        },
      }),
    );
  }

  async function remove(
    workspaceId: string,
    agentId: string,
    caller: Caller,
    { precondition, claim }: { precondition?: (rowVersion: number) => void; claim?: Claim<void> | undefined } = {},
  ): Promise<void> {
    known(agentId);
    await audit.commit({
      chain: workspaceId,
      claim,
      work: async (scope) => {
        const row = found(await findAgent(scope.trx, workspaceId, agentId));
        precondition?.(Number(row.version));
        await workspaces.requireActive(scope.trx, workspaceId);
        if (isActive(row.status)) throw new AgentError('AGENT_RUNNING', 'stop the agent before deleting it');
        if (row.managed && (await mayHaveProcesses(scope.trx, workspaceId, agentId))) {
          throw new AgentError('AGENT_RUNNING', 'processes of the agent are being ended; delete it in a moment');
        }
        await removeWith?.(scope.trx, workspaceId, agentId);
        await deleteAgent(scope.trx, workspaceId, agentId);
        // The policy snapshot lists the invalidated agents.
        if (row.invalidation !== null) await policy.bumpRevision(scope.trx, workspaceId);
        scope.append({
          type: 'agent.deleted',
          actor: caller,
          payload: { agentId, mode: row.mode, specVersion: row.spec_version, specHash: row.spec_hash },
          traceId: caller.traceId,
        });
      },
    });
  }

  return { create, get, patch, fork, remove };
}

function versioned(row: AgentRow | undefined): VersionedAgent {
  const agent = found(row);
  return { agent: agentView(agent), rowVersion: Number(agent.version) };
}

function requirePatchable(row: AgentRow): void {
  if (row.mode === 'governed') {
    throw new AgentError('SPEC_FROZEN', 'the spec of a governed agent is frozen; fork the agent and change the fork');
  }
  // What runs was admitted with the present spec.
  if (isActive(row.status)) throw new AgentError('AGENT_RUNNING', 'stop the agent before changing its spec');
}
