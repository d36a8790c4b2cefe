import type { AuditAppender, Claim, UnitScope } from '../audit/append.ts';
import { mergePatch } from '../http/merge-patch.ts';
import { newId } from '../ids.ts';
import type { PolicyService } from '../policy/service.ts';
import type { RuntimeRegistry } from '../runtime/registry.ts';
import type { Storage } from '../storage/storage.ts';
import type { WorkspaceSettingsService } from '../workspace-settings/service.ts';
import type { Caller } from './caller.ts';
import { AgentError } from './errors.ts';
import { isActive } from './lifecycle.ts';
import { found, known } from './lookup.ts';
import { agentView } from './representation.ts';
import type { AgentView } from './schema.ts';
import { foldName, parseSpec, readStoredSpec, requireManifest, type StoredSpec, toStoredSpec } from './spec.ts';
import type { AgentSpec } from './spec-schema.ts';
import { type AgentRow, deleteAgent, findAgent, insertAgent, replaceSpec } from './store.ts';

/** An agent and the version of its row, which the ETag names. */
export interface VersionedAgent {
  readonly agent: AgentView;
  readonly rowVersion: number;
}

/** What agents are: their specs and their life outside of running. Every unknown agent is NotFound. */
export interface AgentService {
  /**
   * A new, stopped sandbox agent. Throws ValidationFailed, AgentError SPEC_NOT_CANONICAL, MANIFEST_REQUIRED,
   * WorkspaceLimitReached.
   */
  create(
    workspaceId: string,
    request: { spec: unknown; ttlSeconds?: number },
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
    patch: unknown,
    precondition: (rowVersion: number) => void,
    caller: Caller,
  ): Promise<VersionedAgent>;
  /** A new sandbox agent with the spec of another. */
  fork(
    workspaceId: string,
    agentId: string,
    request: { name?: string; ttlSeconds?: number },
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
  /** Asked in the unit of a change, so that a suspension and a limit hold exactly. */
  readonly workspaces: Pick<WorkspaceSettingsService, 'requireActive' | 'requireRoom'>;
}

interface NewSandboxAgent {
  readonly spec: AgentSpec;
  readonly stored: StoredSpec;
  readonly ttlSeconds: number | undefined;
  readonly from: { readonly agentId: string; readonly specVersion: number } | null;
}

export function createAgentService({ storage, audit, policy, runtimes, workspaces }: Parts): AgentService {
  async function create(
    workspaceId: string,
    request: { spec: unknown; ttlSeconds?: number },
    caller: Caller,
    claim?: Claim<VersionedAgent>,
  ): Promise<VersionedAgent> {
    const spec = parseSpec(request.spec);
    requireManifest(spec);
    const stored = toStoredSpec(spec);
    return audit.commit({
      chain: workspaceId,
      claim,
      work: (scope) =>
        addSandboxAgent(scope, workspaceId, { spec, stored, ttlSeconds: request.ttlSeconds, from: null }, caller),
    });
  }

  async function get(workspaceId: string, agentId: string): Promise<VersionedAgent> {
    return versioned(await storage.read(workspaceId, (trx) => findAgent(trx, workspaceId, known(agentId))));
  }

  async function patch(
    workspaceId: string,
    agentId: string,
    patch: unknown,
    precondition: (rowVersion: number) => void,
    caller: Caller,
  ): Promise<VersionedAgent> {
    known(agentId);
    return audit.commit({
      chain: workspaceId,
      work: async (scope) => {
        const row = found(await findAgent(scope.trx, workspaceId, agentId));
        precondition(Number(row.version));
        await workspaces.requireActive(scope.trx, workspaceId);
        requirePatchable(row);
        const spec = parseSpec(mergePatch(storedSpec(row), patch));
        requireManifest(spec);
        const stored = toStoredSpec(spec);
        if (stored.hash === row.spec_hash) return versioned(row);
        const version = row.spec_version + 1;
        const next = { version, spec: stored, createdBy: caller.id, ...columns(spec) };
        await replaceSpec(scope.trx, workspaceId, agentId, next, new Date(scope.now));
        scope.append({
          type: 'agent.updated',
          actor: caller,
          payload: { agentId, specVersion: version, specHash: stored.hash, previousSpecHash: row.spec_hash },
          traceId: caller.traceId,
        });
        return versioned(await findAgent(scope.trx, workspaceId, agentId));
      },
    });
  }

  async function fork(
    workspaceId: string,
    agentId: string,
    request: { name?: string; ttlSeconds?: number },
    caller: Caller,
    claim?: Claim<VersionedAgent>,
  ): Promise<VersionedAgent> {
    known(agentId);
    return audit.commit({
      chain: workspaceId,
      claim,
      work: async (scope) => {
        const source = found(await findAgent(scope.trx, workspaceId, agentId));
        const named = request.name === undefined ? {} : { name: request.name };
        const spec = parseSpec({ ...storedSpec(source), ...named });
        requireManifest(spec);
        const from = { agentId, specVersion: source.spec_version };
        const fresh = { spec, stored: toStoredSpec(spec), ttlSeconds: request.ttlSeconds, from };
        return addSandboxAgent(scope, workspaceId, fresh, caller);
      },
    });
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

  async function addSandboxAgent(
    scope: UnitScope,
    workspaceId: string,
    fresh: NewSandboxAgent,
    caller: Caller,
  ): Promise<VersionedAgent> {
    const { defaultTtlSeconds } = await workspaces.requireRoom(scope.trx, workspaceId);
    const agentId = newId();
    const expiresAt = new Date(scope.now + (fresh.ttlSeconds ?? defaultTtlSeconds) * 1000);
    const row = {
      id: agentId,
      ...columns(fresh.spec),
      spec: fresh.stored,
      expiresAt,
      forkedFrom: fresh.from,
      createdBy: caller.id,
    };
    await insertAgent(scope.trx, workspaceId, row, new Date(scope.now));
    const payload = { agentId, specVersion: 1, specHash: fresh.stored.hash, expiresAt: expiresAt.toISOString() };
    const event = { actor: caller, traceId: caller.traceId };
    if (fresh.from === null) scope.append({ ...event, type: 'agent.created', payload });
    else scope.append({ ...event, type: 'agent.forked', payload: { ...payload, from: fresh.from } });
    return versioned(await findAgent(scope.trx, workspaceId, agentId));
  }

  /** The columns that are taken from a spec. */
  function columns(spec: AgentSpec) {
    return {
      name: spec.name,
      nameFolded: foldName(spec.name),
      capabilities: spec.capabilities ?? [],
      managed: runtimes.driverFor(spec).managed,
    };
  }

  return { create, get, patch, fork, remove };
}

function versioned(row: AgentRow | undefined): VersionedAgent {
  const agent = found(row);
  return { agent: agentView(agent), rowVersion: Number(agent.version) };
}

function storedSpec(row: AgentRow): AgentSpec {
  if (row.spec_bytes === null) throw new AgentError('UNPROCESSABLE', 'the stored spec is gone');
  return readStoredSpec(row.spec_bytes, row.spec_hash);
}

function requirePatchable(row: AgentRow): void {
  if (row.mode === 'governed') {
    throw new AgentError('SPEC_FROZEN', 'the spec of a governed agent is frozen; fork the agent and change the fork');
  }
  // What runs was admitted with the present spec.
  if (isActive(row.status)) throw new AgentError('AGENT_RUNNING', 'stop the agent before changing its spec');
}
