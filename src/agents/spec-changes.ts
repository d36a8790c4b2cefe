import type { UnitScope } from '../audit/append.ts';
import { mergePatch } from '../http/merge-patch.ts';
import { newId } from '../ids.ts';
import type { Manifests, VerifiedManifest } from '../manifests/manifests.ts';
import type { RuntimeRegistry } from '../runtime/registry.ts';
import type { WorkspaceSettingsService } from '../workspace-settings/service.ts';
import type { Caller } from './caller.ts';
import { AgentError } from './errors.ts';
import { foldName, parseSpec, readStoredSpec, type StoredSpec, toStoredSpec } from './spec.ts';
import type { AgentSpec } from './spec-schema.ts';
import { type AgentRow, findAgent, insertAgent, replaceSpec } from './store.ts';

/** The version of a template that a spec was merged over. */
export interface SourceTemplate {
  readonly templateId: string;
  readonly version: number;
}

/** A sandbox agent to be. */
export interface NewSandboxAgent {
  readonly spec: AgentSpec;
  readonly stored: StoredSpec;
  readonly ttlSeconds: number | undefined;
  readonly from: { readonly agentId: string; readonly specVersion: number } | null;
  readonly template?: SourceTemplate | undefined;
  readonly manifest: VerifiedManifest | undefined;
}

export interface SpecPatch {
  readonly patch: unknown;
  readonly manifest: VerifiedManifest | undefined;
}

/** What yields a spec, in the unit of the caller: each with its event, and with the manifest that it needs (contract §5). */
export interface SpecChanges {
  /** Throws ManifestError, WorkspaceLimitReached. */
  add(scope: UnitScope, workspaceId: string, fresh: NewSandboxAgent, caller: Caller): Promise<AgentRow | undefined>;
  /** A result equal to the present spec changes nothing. Throws ValidationFailed, AgentError, ManifestError. */
  patch(scope: UnitScope, row: AgentRow, change: SpecPatch, caller: Caller): Promise<AgentRow | undefined>;
}

export interface SpecChangesOptions {
  readonly runtimes: RuntimeRegistry;
  readonly manifests: Pick<Manifests, 'accept'>;
  readonly workspaces: Pick<WorkspaceSettingsService, 'requireRoom'>;
}

export function createSpecChanges({ runtimes, manifests, workspaces }: SpecChangesOptions): SpecChanges {
  async function add(scope: UnitScope, workspaceId: string, fresh: NewSandboxAgent, caller: Caller) {
    const { defaultTtlSeconds } = await workspaces.requireRoom(scope.trx, workspaceId);
    const agentId = newId();
    const { spec, stored, manifest } = fresh;
    const governed = { workspaceId, profiles: [spec.profile], specHash: stored.hash, agentId, caller };
    await manifests.accept(scope, manifest, governed);
    const expiresAt = new Date(scope.now + (fresh.ttlSeconds ?? defaultTtlSeconds) * 1000);
    const row = {
      id: agentId,
      ...columns(spec),
      spec: stored,
      expiresAt,
      forkedFrom: fresh.from,
      createdBy: caller.id,
    };
    await insertAgent(scope.trx, workspaceId, row, new Date(scope.now));
    const payload = { agentId, specVersion: 1, specHash: stored.hash, expiresAt: expiresAt.toISOString() };
    const event = { actor: caller, traceId: caller.traceId };
    const { template } = fresh;
    const spawned = template === undefined ? {} : { template: { ...template } };
    if (fresh.from === null) scope.append({ ...event, type: 'agent.created', payload: { ...payload, ...spawned } });
    else scope.append({ ...event, type: 'agent.forked', payload: { ...payload, from: fresh.from } });
    return findAgent(scope.trx, workspaceId, agentId);
  }

  async function patch(scope: UnitScope, row: AgentRow, { patch: sent, manifest }: SpecPatch, caller: Caller) {
    const { workspace_id: workspaceId, id: agentId } = row;
    const before = storedSpec(row);
    const spec = parseSpec(mergePatch(before, sent));
    const stored = toStoredSpec(spec);
    const profiles = [before.profile, spec.profile];
    await manifests.accept(scope, manifest, { workspaceId, profiles, specHash: stored.hash, agentId, caller });
    if (stored.hash === row.spec_hash) return row;
    const version = row.spec_version + 1;
    const next = { version, spec: stored, createdBy: caller.id, ...columns(spec) };
    await replaceSpec(scope.trx, workspaceId, agentId, next, new Date(scope.now));
    scope.append({
      type: 'agent.updated',
      actor: caller,
      payload: { agentId, specVersion: version, specHash: stored.hash, previousSpecHash: row.spec_hash },
      traceId: caller.traceId,
    });
    return findAgent(scope.trx, workspaceId, agentId);
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

  return { add, patch };
}

/** The spec of a row. Throws AgentError UNPROCESSABLE when it is gone, or not what its hash says. */
export function storedSpec(row: AgentRow): AgentSpec {
  if (row.spec_bytes === null) throw new AgentError('UNPROCESSABLE', 'the stored spec is gone');
  return readStoredSpec(row.spec_bytes, row.spec_hash);
}
