import { generateKeyPairSync } from 'node:crypto';

import { newId } from '../../../src/ids.ts';
import { envelopeFor, trustedKey } from '../../manifests/support.ts';
import type { Answer } from '../../support/service.ts';
import { AGENT_MANAGER_SCENARIOS } from './agent-manager-scenarios.ts';
import { KILL_SWITCH_SCENARIOS } from './kill-switch-scenarios.ts';
import { reload } from './policies.ts';
import { SANDBOX_RUN_SCENARIOS } from './sandbox-run-scenarios.ts';
import { MINUTE, SPEC, type World } from './world.ts';

/** What a scenario brought about before the call whose events count, and that call. */
export interface Prepared {
  readonly path: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Scenario {
  readonly operation: string;
  readonly why: string;
  readonly status: number;
  /** Exactly the events of the call, in order; those of several agents sorted. */
  readonly events: readonly string[];
  /** The chain they are in, when it is not the workspace's. */
  readonly chain?: '_system';
  readonly prepare: (world: World, workspaceId: string) => Promise<Prepared>;
  /** More that must hold of the answer. */
  readonly holds?: (answer: Answer) => boolean;
  /** Takes back what would hinder the scenarios of other workspaces. */
  readonly after?: (world: World) => Promise<unknown>;
}

type Prepare = Scenario['prepare'];

const STOP = { stopToken: 'enough' };

const KERNELS = { ...SPEC, profile: 'illuvrse' };

const agentsOf = (workspaceId: string) => `/v1/workspaces/${workspaceId}/agents`;

/** The call `…/agents/{id}/<action>` on an agent that `made` brings about. */
function onAgent(
  made: (world: World, workspaceId: string) => Promise<string>,
  action: string,
  body?: unknown,
): Prepare {
  return async (world, workspaceId) => {
    const path = `${agentsOf(workspaceId)}/${await made(world, workspaceId)}${action === '' ? '' : `/${action}`}`;
    return body === undefined ? { path } : { path, body };
  };
}

const sandbox = (spec?: object) => (world: World, workspaceId: string) => world.sandboxAgent(workspaceId, spec);
const governed = (world: World, workspaceId: string) => world.governedAgent(workspaceId);

async function act(world: World, path: string, body?: unknown): Promise<Answer> {
  return world.expect(200, 'kernel-admin', 'POST', path, body);
}

/** A spec of the profile that needs a manifest, and one for it. */
async function manifested(world: World) {
  return { spec: KERNELS, manifest: envelopeFor(world, await trustedKey(world), KERNELS) };
}

async function withManifest(world: World, workspaceId: string): Promise<string> {
  const { body } = await world.expect(201, 'kernel-admin', 'POST', agentsOf(workspaceId), await manifested(world));
  return String(body.id);
}

async function running(world: World, workspaceId: string): Promise<string> {
  const agentId = await world.sandboxAgent(workspaceId);
  await act(world, `${agentsOf(workspaceId)}/${agentId}/start`);
  return agentId;
}

async function quarantined(world: World, workspaceId: string): Promise<string> {
  const agentId = await world.sandboxAgent(workspaceId);
  await act(world, `${agentsOf(workspaceId)}/${agentId}/quarantine`, { reason: 'odd' });
  return agentId;
}

/** A governed agent that a policy with a lower limit invalidated. */
async function invalidated(world: World, workspaceId: string): Promise<string> {
  const agentId = await world.governedAgent(workspaceId);
  await act(world, `/v1/workspaces/${workspaceId}/policy/hotreload`, reload({ monthlyUsd: 1 }));
  return agentId;
}

async function invalidatedUnderAnOlderPolicy(world: World, workspaceId: string): Promise<string> {
  const agentId = await invalidated(world, workspaceId);
  await act(world, `/v1/workspaces/${workspaceId}/policy/hotreload`, reload({ revalidate: false }));
  return agentId;
}

function onPolicy(
  action: string,
  body: object | undefined,
  before?: (world: World, ws: string) => Promise<unknown>,
): Prepare {
  return async (world, workspaceId) => {
    await before?.(world, workspaceId);
    const path = `/v1/workspaces/${workspaceId}/policy/${action}`;
    return body === undefined ? { path } : { path, body };
  };
}

/** Two agents, whose proofs are renewed by one statement. */
async function governedTwice(world: World, workspaceId: string): Promise<void> {
  for (let n = 0; n < 2; n += 1) await world.governedAgent(workspaceId);
}

/** A second version that nothing was revalidated for. */
async function reloaded(world: World, workspaceId: string, options: object = {}): Promise<void> {
  await act(world, `/v1/workspaces/${workspaceId}/policy/hotreload`, reload({ revalidate: false, ...options }));
}

function batch(action: string, ...made: ((world: World, workspaceId: string) => Promise<string>)[]): Prepare {
  return async (world, workspaceId) => {
    const agentIds: string[] = [];
    for (const make of made) agentIds.push(await make(world, workspaceId));
    return { path: `${agentsOf(workspaceId)}:batch`, body: { action, agentIds } };
  };
}

function newSigner(signerId = `manifest-${newId()}`): Record<string, string> {
  const publicKey = generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' }).toString();
  return { signerId, alg: 'Ed25519', purpose: 'manifest', publicKey };
}

/** A key that counts already. */
async function listedSigner(world: World): Promise<string> {
  const signerId = `manifest-${newId()}`;
  await world.expect(201, 'kernel-admin', 'POST', '/v1/signers', newSigner(signerId));
  return signerId;
}

/** A compromised signer in whose name the newest event of the chain stands. */
async function stolenKey(world: World, chain: string): Promise<string> {
  const { signerId = '', publicKey } = newSigner(`audit-${newId()}`);
  await world.sql(
    `INSERT INTO signers (signer_id, alg, public_key, purpose, state, revoked_at, created_at, created_by, updated_at)
     VALUES ($1, 'Ed25519', $2, 'audit', 'compromised', now() - interval '1 day', now(), 'test', now())`,
    [signerId, publicKey],
  );
  await world.sql('SET session_replication_role = replica');
  await world.sql(
    'UPDATE audit_events SET signer_id = $1 WHERE chain = $2 AND seq = (SELECT seq FROM audit_heads WHERE chain = $2)',
    [signerId, chain],
  );
  await world.sql('SET session_replication_role = origin');
  return signerId;
}

/** One that is to take its place. */
async function pendingSigner(world: World): Promise<string> {
  const signerId = `manifest-${newId()}`;
  const path = `/v1/signers/${await listedSigner(world)}/rotate`;
  await world.expect(201, 'kernel-admin', 'POST', path, { reason: 'yearly', replacement: replacement(signerId) });
  return signerId;
}

function replacement(signerId?: string) {
  const { purpose: _, ...key } = newSigner(signerId);
  return key;
}

const auditOf = (workspaceId: string) => `/v1/workspaces/${workspaceId}/audit`;

async function held(world: World, workspaceId: string): Promise<Prepared> {
  const path = `${auditOf(workspaceId)}/hold`;
  await world.expect(200, 'kernel-admin', 'PUT', path, { reason: 'litigation' });
  return { path, body: { reason: 'settled' } };
}

/** An agent whose promotion waits for approvals under a policy that is not the active one any more. */
async function stale(world: World, workspaceId: string): Promise<string> {
  await pending(world, workspaceId);
  await reloaded(world, workspaceId);
  const { body } = await world.expect(200, 'kernel-admin', 'GET', agentsOf(workspaceId));
  return String(body.agents[0].id);
}

/** The settings of the workspace, changed. */
async function set(world: World, workspaceId: string, settings: object): Promise<void> {
  await world.expect(200, 'kernel-admin', 'PATCH', `/v1/workspaces/${workspaceId}/settings`, settings);
}

/** The call of an action on a workspace that is suspended. */
async function suspended(world: World, workspaceId: string, action: string): Promise<string> {
  await act(world, `/v1/workspaces/${workspaceId}/suspend`, { reason: 'an incident' });
  return `/v1/workspaces/${workspaceId}/${action}`;
}

function elevationIn(workspaceId: string) {
  return { workspaceId, minutes: 10, justification: 'nobody of theirs can be reached' };
}

/** A promotion that somebody else has asked for and approvers decide; gives its path. */
async function pending(world: World, workspaceId: string, approvalsRequired = 1, made = sandbox()): Promise<string> {
  await set(world, workspaceId, { approvalsRequired });
  const agentId = await made(world, workspaceId);
  const path = `${agentsOf(workspaceId)}/${agentId}/promote`;
  const { body } = await world.expect(202, 'kernel-admin', 'POST', path);
  await world.sql(`UPDATE promotions SET requested_by = jsonb_set(requested_by, '{id}', '"somebody"') WHERE id = $1`, [
    body.promotionId,
  ]);
  return `/v1/workspaces/${workspaceId}/promotions/${String(body.promotionId)}`;
}

function onPending(action: string, body?: object, then?: (world: World, ws: string) => Promise<unknown>): Prepare {
  return async (world, workspaceId) => {
    const path = `${await pending(world, workspaceId)}/${action}`;
    await then?.(world, workspaceId);
    return body === undefined ? { path } : { path, body };
  };
}

async function quarantineAll(world: World, workspaceId: string): Promise<void> {
  const { body } = await world.expect(200, 'kernel-admin', 'GET', agentsOf(workspaceId));
  for (const { id } of body.agents) await act(world, `${agentsOf(workspaceId)}/${id}/quarantine`, { reason: 'odd' });
}

const PROMOTED = ['promotion.approved', 'proof.issued'];
const DIRTY = { ...SPEC, containment: { externalCalls: true } };

export const SCENARIOS: readonly Scenario[] = [
  ...AGENT_MANAGER_SCENARIOS,
  ...KILL_SWITCH_SCENARIOS,
  ...SANDBOX_RUN_SCENARIOS,
  {
    operation: 'createWorkspace',
    why: 'a new workspace begins its chain',
    status: 201,
    events: ['workspace.created', 'policy.activated'],
    prepare: async () => ({ path: '/v1/workspaces', body: { workspaceId: `new-${newId()}` } }),
  },
  {
    operation: 'createWorkspace',
    why: 'a workspace that exists',
    status: 409,
    events: [],
    prepare: async (_world, workspaceId) => ({ path: '/v1/workspaces', body: { workspaceId } }),
  },
  {
    operation: 'registerSigner',
    why: 'a new key',
    status: 201,
    chain: '_system',
    events: ['signer.registered'],
    prepare: async () => ({ path: '/v1/signers', body: newSigner() }),
  },
  {
    operation: 'registerSigner',
    why: 'an id that is taken',
    status: 409,
    events: [],
    prepare: async () => ({ path: '/v1/signers', body: newSigner('audit-1') }),
  },
  {
    operation: 'revokeSigner',
    why: 'a signer in force',
    status: 200,
    chain: '_system',
    events: ['signer.revoked'],
    prepare: async (world) => ({
      path: `/v1/signers/${await listedSigner(world)}/revoke`,
      body: { reason: 'lost' },
    }),
  },
  {
    operation: 'revokeSigner',
    why: 'one that is not there',
    status: 404,
    events: [],
    prepare: async () => ({ path: '/v1/signers/nobody/revoke', body: { reason: 'lost' } }),
  },
  {
    operation: 'importSigners',
    why: 'two new keys',
    status: 200,
    chain: '_system',
    events: ['signer.registered', 'signer.registered'],
    prepare: async () => ({ path: '/v1/signers/import', body: { signers: [newSigner(), newSigner()] } }),
  },
  {
    operation: 'importSigners',
    why: 'keys that are there',
    status: 200,
    events: [],
    prepare: async (world) => {
      const signer = newSigner();
      await world.expect(201, 'kernel-admin', 'POST', '/v1/signers', signer);
      return { path: '/v1/signers/import', body: { signers: [signer] } };
    },
  },
  {
    operation: 'importSigners',
    why: 'one of them with another key: none',
    status: 409,
    events: [],
    prepare: async (world) => ({
      path: '/v1/signers/import',
      body: { signers: [newSigner(), newSigner(await listedSigner(world))] },
    }),
  },
  {
    operation: 'rotateSigner',
    why: 'a key for the place of another',
    status: 201,
    chain: '_system',
    events: ['signer.rotation.requested'],
    prepare: async (world) => ({
      path: `/v1/signers/${await listedSigner(world)}/rotate`,
      body: { reason: 'yearly', replacement: replacement() },
    }),
  },
  {
    operation: 'rotateSigner',
    why: 'to the newest beside it',
    status: 200,
    chain: '_system',
    events: ['signer.rotation.applied'],
    prepare: async (world) => {
      const old = await listedSigner(world);
      await listedSigner(world);
      return { path: `/v1/signers/${old}/rotate`, body: { reason: 'yearly' } };
    },
  },
  {
    operation: 'rotateSigner',
    why: 'in an emergency, without a key that takes its place',
    status: 422,
    events: [],
    prepare: async (world) => ({
      path: `/v1/signers/${await listedSigner(world)}/rotate`,
      body: { reason: 'lost', emergency: true },
    }),
  },
  {
    operation: 'rotateSigner',
    why: 'for the place of nobody',
    status: 404,
    events: [],
    prepare: async () => ({ path: '/v1/signers/nobody/rotate', body: { reason: 'none', replacement: replacement() } }),
  },
  {
    operation: 'activateSigner',
    why: 'a pending one',
    status: 200,
    chain: '_system',
    events: ['signer.rotation.applied'],
    prepare: async (world) => ({ path: `/v1/signers/${await pendingSigner(world)}/activate` }),
  },
  {
    operation: 'activateSigner',
    why: 'one in force',
    status: 409,
    events: [],
    prepare: async (world) => ({ path: `/v1/signers/${await listedSigner(world)}/activate` }),
  },
  {
    operation: 'retireSigner',
    why: 'one of two',
    status: 200,
    chain: '_system',
    events: ['signer.retired'],
    prepare: async (world) => {
      await listedSigner(world);
      return { path: `/v1/signers/${await listedSigner(world)}/retire` };
    },
  },
  {
    operation: 'retireSigner',
    why: 'the only one of its purpose',
    status: 409,
    events: [],
    prepare: async () => ({ path: '/v1/signers/proof-1/retire' }),
  },
  {
    operation: 'compromiseSigner',
    why: 'a signer in force',
    status: 200,
    chain: '_system',
    events: ['signer.compromise'],
    prepare: async (world) => ({
      path: `/v1/signers/${await listedSigner(world)}/compromise`,
      body: { reason: 'found in a repository' },
    }),
  },
  {
    operation: 'compromiseSigner',
    why: 'until a time that is yet to come',
    status: 422,
    events: [],
    prepare: async (world) => ({
      path: `/v1/signers/${await listedSigner(world)}/compromise`,
      body: { reason: 'lost', trustedUpTo: '2999-01-01T00:00:00Z' },
    }),
  },
  {
    operation: 'createAgent',
    why: 'a new agent',
    status: 201,
    events: ['agent.created'],
    prepare: async (_world, workspaceId) => ({ path: agentsOf(workspaceId), body: { spec: SPEC } }),
  },
  {
    operation: 'createAgent',
    why: 'a profile that needs a manifest',
    status: 403,
    events: ['manifest.rejected'],
    prepare: async (_world, workspaceId) => ({ path: agentsOf(workspaceId), body: { spec: KERNELS } }),
  },
  {
    operation: 'createAgent',
    why: 'with its manifest',
    status: 201,
    events: ['manifest.accepted', 'agent.created'],
    prepare: async (world, workspaceId) => ({ path: agentsOf(workspaceId), body: await manifested(world) }),
  },
  {
    operation: 'patchAgent',
    why: 'another spec',
    status: 200,
    events: ['agent.updated'],
    prepare: onAgent(sandbox(), '', { spec: { description: 'new' } }),
  },
  {
    operation: 'patchAgent',
    why: 'the same spec',
    status: 200,
    events: [],
    prepare: onAgent(sandbox(), '', { spec: { name: SPEC.name } }),
  },
  {
    operation: 'patchAgent',
    why: 'into a profile that needs a manifest',
    status: 403,
    events: ['manifest.rejected'],
    prepare: onAgent(sandbox(), '', { spec: { profile: KERNELS.profile } }),
  },
  {
    operation: 'patchAgent',
    why: 'into that profile, with a manifest',
    status: 200,
    events: ['manifest.accepted', 'agent.updated'],
    prepare: async (world, workspaceId) => {
      const { path } = await onAgent(sandbox(), '')(world, workspaceId);
      return { path, body: await manifested(world) };
    },
  },
  {
    operation: 'patchAgent',
    why: 'a governed spec is frozen',
    status: 409,
    events: [],
    prepare: onAgent(governed, '', { spec: { description: 'new' } }),
  },
  { operation: 'deleteAgent', why: 'it goes', status: 204, events: ['agent.deleted'], prepare: onAgent(sandbox(), '') },
  { operation: 'deleteAgent', why: 'it runs', status: 409, events: [], prepare: onAgent(running, '') },
  {
    operation: 'forkAgent',
    why: 'of a governed one',
    status: 201,
    events: ['agent.forked'],
    prepare: onAgent(governed, 'fork', { name: 'second' }),
  },
  {
    operation: 'forkAgent',
    why: 'of one whose manifest is spent',
    status: 403,
    events: ['manifest.rejected'],
    prepare: onAgent(withManifest, 'fork', {}),
  },
  {
    operation: 'forkAgent',
    why: 'with a manifest of its own',
    status: 201,
    events: ['manifest.accepted', 'agent.forked'],
    prepare: async (world, workspaceId) => {
      const { path } = await onAgent(withManifest, 'fork')(world, workspaceId);
      const { manifest } = await manifested(world);
      return { path, body: { manifest } };
    },
  },
  {
    operation: 'startAgent',
    why: 'admission lets it',
    status: 200,
    events: ['agent.start.allowed'],
    prepare: onAgent(sandbox(), 'start'),
  },
  {
    operation: 'startAgent',
    why: 'admission denies it',
    status: 403,
    events: ['agent.start.denied'],
    prepare: onAgent(sandbox(DIRTY), 'start'),
  },
  {
    operation: 'startAgent',
    why: 'it runs already: no new admission',
    status: 200,
    events: [],
    prepare: onAgent(running, 'start'),
    holds: ({ body }) => body.alreadyRunning === true,
  },
  { operation: 'stopAgent', why: 'it ran', status: 200, events: ['agent.stopped'], prepare: onAgent(running, 'stop') },
  { operation: 'stopAgent', why: 'it did not run', status: 200, events: [], prepare: onAgent(sandbox(), 'stop') },
  {
    operation: 'emergencyStopAgent',
    why: 'the token of its spec',
    status: 200,
    events: ['agent.stopped'],
    prepare: async (world, workspaceId) => {
      const path = `${agentsOf(workspaceId)}/${await world.sandboxAgent(workspaceId, { ...SPEC, human: STOP })}`;
      await act(world, `${path}/start`);
      return { path: `${path}/emergency-stop`, body: STOP };
    },
  },
  {
    operation: 'emergencyStopAgent',
    why: 'another token',
    status: 403,
    events: ['access.denied'],
    prepare: onAgent(running, 'emergency-stop', STOP),
  },
  {
    operation: 'quarantineAgent',
    why: 'a running one',
    status: 200,
    events: ['agent.quarantined'],
    prepare: onAgent(running, 'quarantine', { reason: 'odd' }),
  },
  {
    operation: 'quarantineAgent',
    why: 'twice',
    status: 200,
    events: [],
    prepare: onAgent(quarantined, 'quarantine', { reason: 'odd' }),
  },
  {
    operation: 'releaseAgent',
    why: 'a sandbox agent',
    status: 200,
    events: ['agent.released'],
    prepare: onAgent(quarantined, 'release', { reason: 'looked into' }),
  },
  {
    operation: 'releaseAgent',
    why: 'an invalidated one that passes under a new policy',
    status: 200,
    events: ['agent.released', 'proof.renewed'],
    prepare: onAgent(invalidatedUnderAnOlderPolicy, 'release', { reason: 'looked into' }),
  },
  {
    operation: 'releaseAgent',
    why: 'an invalidated one that still fails',
    status: 403,
    events: ['agent.release.denied'],
    prepare: onAgent(invalidated, 'release', { reason: 'looked into' }),
  },
  {
    operation: 'releaseAgent',
    why: 'one that is free',
    status: 409,
    events: [],
    prepare: onAgent(sandbox(), 'release', { reason: 'looked into' }),
  },
  {
    operation: 'promoteAgent',
    why: 'a stopped one',
    status: 200,
    events: PROMOTED,
    prepare: onAgent(sandbox(), 'promote'),
  },
  {
    operation: 'promoteAgent',
    why: 'a running one is stopped: it was admitted as a sandbox agent',
    status: 200,
    events: [...PROMOTED, 'agent.stopped'],
    prepare: onAgent(running, 'promote'),
  },
  {
    operation: 'promoteAgent',
    why: 'the policy denies',
    status: 200,
    events: ['promotion.denied'],
    prepare: onAgent(sandbox(DIRTY), 'promote'),
    holds: ({ body }) => body.success === false,
  },
  { operation: 'promoteAgent', why: 'a governed one', status: 409, events: [], prepare: onAgent(governed, 'promote') },
  {
    operation: 'promoteAgent',
    why: 'approvers decide',
    status: 202,
    events: ['promotion.requested'],
    prepare: async (world, workspaceId) => {
      await set(world, workspaceId, { approvalsRequired: 1 });
      return { path: `${agentsOf(workspaceId)}/${await world.sandboxAgent(workspaceId)}/promote` };
    },
    holds: ({ body }) => body.state === 'pending',
  },
  {
    operation: 'promoteAgent',
    why: 'asked for already',
    status: 409,
    events: [],
    prepare: async (world, workspaceId) => {
      await pending(world, workspaceId);
      const { body } = await world.expect(200, 'kernel-admin', 'GET', agentsOf(workspaceId));
      return { path: `${agentsOf(workspaceId)}/${body.agents[0].id}/promote` };
    },
  },
  {
    operation: 'promoteAgent',
    why: 'asked for once more under another policy',
    status: 202,
    events: ['promotion.lapsed', 'promotion.requested'],
    prepare: onAgent(stale, 'promote'),
  },
  {
    operation: 'approvePromotion',
    why: 'the last approval, of a running one',
    status: 200,
    events: ['promotion.approval.given', ...PROMOTED, 'agent.stopped'],
    prepare: async (world, workspaceId) => ({ path: `${await pending(world, workspaceId, 1, running)}/approve` }),
  },
  {
    operation: 'approvePromotion',
    why: 'the last approval',
    status: 200,
    events: ['promotion.approval.given', ...PROMOTED],
    prepare: onPending('approve', { comment: 'looked at' }),
    holds: ({ body }) => body.success === true && body.state === 'approved',
  },
  {
    operation: 'approvePromotion',
    why: 'one of two',
    status: 202,
    events: ['promotion.approval.given'],
    prepare: async (world, workspaceId) => ({ path: `${await pending(world, workspaceId, 2)}/approve` }),
    holds: ({ body }) => body.approvals === 1,
  },
  {
    operation: 'approvePromotion',
    why: 'its agent was quarantined',
    status: 403,
    events: ['promotion.denied'],
    prepare: onPending('approve', undefined, quarantineAll),
  },
  {
    operation: 'approvePromotion',
    why: 'another policy is active',
    status: 409,
    events: ['promotion.lapsed'],
    prepare: onPending('approve', undefined, reloaded),
  },
  {
    operation: 'rejectPromotion',
    why: 'a pending one',
    status: 200,
    events: ['promotion.rejected'],
    prepare: onPending('reject', { reason: 'not yet' }),
  },
  {
    operation: 'rejectPromotion',
    why: 'another policy is active',
    status: 409,
    events: ['promotion.lapsed'],
    prepare: onPending('reject', { reason: 'not yet' }, reloaded),
  },
  {
    operation: 'batchAgents',
    why: 'promote once more, under another policy',
    status: 200,
    events: ['promotion.lapsed', 'promotion.requested'],
    prepare: batch('promote', stale),
  },
  {
    operation: 'batchAgents',
    why: 'start',
    status: 200,
    events: ['agent.start.allowed', 'agent.start.denied'],
    prepare: batch('start', sandbox(), sandbox(DIRTY), running),
  },
  {
    operation: 'batchAgents',
    why: 'stop',
    status: 200,
    events: ['agent.stopped'],
    prepare: batch('stop', running, sandbox(), async () => newId()),
  },
  {
    operation: 'batchAgents',
    why: 'promote',
    status: 200,
    events: [...PROMOTED, 'promotion.denied'],
    prepare: batch('promote', sandbox(), sandbox(DIRTY), governed),
  },
  {
    operation: 'batchAgents',
    why: 'promote, and approvers decide',
    status: 200,
    events: ['promotion.requested', 'promotion.denied'],
    prepare: async (world, workspaceId) => {
      await set(world, workspaceId, { approvalsRequired: 1 });
      return batch('promote', sandbox(), sandbox(DIRTY))(world, workspaceId);
    },
    holds: ({ body }) => body.results[0].state === 'pending' && body.results[1].success === false,
  },
  {
    operation: 'batchAgents',
    why: 'delete',
    status: 200,
    events: ['agent.deleted', 'agent.deleted'],
    prepare: batch('delete', sandbox(), governed, running),
  },
  {
    operation: 'hotReloadPolicy',
    why: 'nobody is governed',
    status: 200,
    events: ['policy.activated', 'revalidation.requested'],
    prepare: onPolicy('hotreload', reload()),
  },
  {
    operation: 'hotReloadPolicy',
    why: 'without a revalidation',
    status: 200,
    events: ['policy.activated'],
    prepare: onPolicy('hotreload', reload({ revalidate: false }), governed),
  },
  {
    operation: 'hotReloadPolicy',
    why: 'a policy that the agent still meets',
    status: 200,
    events: ['policy.activated', 'revalidation.requested', 'agent.revalidated', 'proof.renewed'],
    prepare: onPolicy('hotreload', reload(), governed),
  },
  {
    operation: 'hotReloadPolicy',
    why: 'a policy that several agents still meet',
    status: 200,
    events: ['policy.activated', 'revalidation.requested', 'proof.mass.renewed'],
    prepare: onPolicy('hotreload', reload(), governedTwice),
  },
  {
    operation: 'hotReloadPolicy',
    why: 'one that it does not',
    status: 200,
    events: ['policy.activated', 'revalidation.requested', 'agent.invalidated'],
    prepare: onPolicy('hotreload', reload({ monthlyUsd: 1 }), governed),
  },
  {
    operation: 'hotReloadPolicy',
    why: 'only to be tried',
    status: 200,
    events: ['policy.shadowed'],
    prepare: onPolicy('hotreload', reload({ mode: 'shadow' }), governed),
  },
  {
    operation: 'hotReloadPolicy',
    why: 'no Rego',
    status: 422,
    events: ['policy.rejected'],
    prepare: onPolicy('hotreload', {
      policySet: 'default',
      bundle: { modules: { 'promotion.rego': 'package castellan.promotion\nnonsense(' }, data: {} },
    }),
  },
  {
    operation: 'hotReloadPolicy',
    why: 'somebody else was first',
    status: 409,
    events: [],
    prepare: onPolicy('hotreload', reload({ expectedHash: `sha256:${'0'.repeat(64)}` })),
  },
  {
    operation: 'revalidateAgents',
    why: 'an agent that stands as before',
    status: 200,
    events: ['revalidation.requested'],
    prepare: onPolicy('revalidate', undefined, governed),
  },
  {
    operation: 'revalidateAgents',
    why: 'a newer policy that the agent meets',
    status: 200,
    events: ['revalidation.requested', 'agent.revalidated', 'proof.renewed'],
    prepare: onPolicy('revalidate', undefined, async (world, workspaceId) => {
      await governed(world, workspaceId);
      await reloaded(world, workspaceId);
    }),
  },
  {
    operation: 'revalidateAgents',
    why: 'a newer policy that several agents meet',
    status: 200,
    events: ['revalidation.requested', 'proof.mass.renewed'],
    prepare: onPolicy('revalidate', undefined, async (world, workspaceId) => {
      await governedTwice(world, workspaceId);
      await reloaded(world, workspaceId);
    }),
  },
  {
    operation: 'revalidateAgents',
    why: 'one that it does not meet',
    status: 200,
    events: ['revalidation.requested', 'agent.invalidated'],
    prepare: onPolicy('revalidate', undefined, async (world, workspaceId) => {
      await governed(world, workspaceId);
      await reloaded(world, workspaceId, { monthlyUsd: 1 });
    }),
  },
  {
    operation: 'revalidateAgents',
    why: 'an agent that is not there',
    status: 404,
    events: [],
    prepare: onPolicy('revalidate', { agentIds: [newId()] }),
  },
  {
    operation: 'rollBackPolicy',
    why: 'without a revalidation',
    status: 200,
    events: ['policy.rolledback'],
    prepare: onPolicy('rollback', { version: 1, revalidate: false }, reloaded),
  },
  {
    operation: 'rollBackPolicy',
    why: 'to one that the agent meets',
    status: 200,
    events: ['policy.rolledback', 'revalidation.requested', 'agent.revalidated', 'proof.renewed'],
    prepare: onPolicy('rollback', { version: 1 }, async (world, workspaceId) => {
      await reloaded(world, workspaceId);
      await governed(world, workspaceId);
    }),
  },
  {
    operation: 'rollBackPolicy',
    why: 'to one that several agents meet',
    status: 200,
    events: ['policy.rolledback', 'revalidation.requested', 'proof.mass.renewed'],
    prepare: onPolicy('rollback', { version: 1 }, async (world, workspaceId) => {
      await reloaded(world, workspaceId);
      await governedTwice(world, workspaceId);
    }),
  },
  {
    operation: 'rollBackPolicy',
    why: 'to one that it does not meet',
    status: 200,
    events: ['policy.rolledback', 'revalidation.requested', 'agent.invalidated'],
    prepare: onPolicy('rollback', { version: 1 }, async (world, workspaceId) => {
      await reloaded(world, workspaceId);
      await world.governedAgent(workspaceId, { ...SPEC, budget: { monthlyUsd: 2000 } });
    }),
  },
  {
    operation: 'rollBackPolicy',
    why: 'to the active one',
    status: 409,
    events: [],
    prepare: onPolicy('rollback', { version: 1 }),
  },
  {
    operation: 'reattestAudit',
    why: 'events of a stolen key',
    status: 201,
    events: ['audit.range.reattested'],
    prepare: async (world, workspaceId) => ({
      path: `/v1/workspaces/${workspaceId}/audit/reattestations`,
      body: { signerId: await stolenKey(world, workspaceId), reason: 'compared with the backup' },
    }),
  },
  {
    operation: 'reattestAudit',
    why: 'a signer that left nothing in doubt here',
    status: 409,
    events: [],
    prepare: async (world, workspaceId) => ({
      path: `/v1/workspaces/${workspaceId}/audit/reattestations`,
      body: { signerId: await stolenKey(world, '_system'), reason: 'compared with the backup' },
    }),
  },
  {
    operation: 'reattestAudit',
    why: 'a signer that is trusted',
    status: 409,
    events: [],
    prepare: async (_world, workspaceId) => ({
      path: `/v1/workspaces/${workspaceId}/audit/reattestations`,
      body: { signerId: 'audit-1', reason: 'compared with the backup' },
    }),
  },
  {
    operation: 'reattestSystemAudit',
    why: 'events of a stolen key',
    status: 201,
    chain: '_system',
    events: ['audit.range.reattested'],
    prepare: async (world) => ({
      path: '/v1/audit/reattestations',
      body: { signerId: await stolenKey(world, '_system'), reason: 'compared with the backup' },
    }),
  },
  {
    operation: 'pruneAudit',
    why: 'events that a checkpoint covers',
    status: 201,
    events: ['audit.pruned'],
    prepare: async (world, workspaceId) => {
      await world.sandboxAgent(workspaceId);
      await world.service.app.checkpoints?.round();
      return {
        path: `/v1/workspaces/${workspaceId}/audit/prunings`,
        body: { to: 1, reason: 'older than seven years' },
      };
    },
  },
  {
    operation: 'pruneAudit',
    why: 'events that no checkpoint covers yet',
    status: 409,
    events: [],
    prepare: async (_world, workspaceId) => ({
      path: `/v1/workspaces/${workspaceId}/audit/prunings`,
      body: { to: 1, reason: 'older than seven years' },
    }),
    holds: ({ body }) => body.code === 'NOT_CHECKPOINTED',
  },
  {
    operation: 'pruneSystemAudit',
    why: 'events that a checkpoint covers, before those that vouch for the registry',
    status: 201,
    chain: '_system',
    events: ['audit.pruned'],
    prepare: async (world) => {
      await world.expect(201, 'kernel-admin', 'POST', '/v1/signers', newSigner());
      await world.service.app.checkpoints?.round();
      // Up to the event before it: each removal goes further than those that were approved.
      const newest = '/v1/audit/events?type=signer.registered&limit=200';
      const { events } = (await world.expect(200, 'auditor', 'GET', newest)).body;
      return { path: '/v1/audit/prunings', body: { to: events.at(-1).seq - 1, reason: 'older than seven years' } };
    },
  },
  {
    operation: 'erasePersonalData',
    why: 'what a caller wrote',
    status: 200,
    events: ['erasure.performed'],
    prepare: async (world, workspaceId) => {
      await quarantined(world, workspaceId);
      return { path: `${auditOf(workspaceId)}/erasures`, body: { actorId: 'kernel-admin', reason: 'asked' } };
    },
    holds: ({ body }) => body.values === 1,
  },
  {
    operation: 'erasePersonalData',
    why: 'under a legal hold',
    status: 409,
    events: [],
    prepare: async (world, workspaceId) => {
      await world.expect(200, 'kernel-admin', 'PUT', `${auditOf(workspaceId)}/hold`, { reason: 'litigation' });
      return { path: `${auditOf(workspaceId)}/erasures`, body: { actorId: 'kernel-admin', reason: 'asked' } };
    },
    holds: ({ body }) => body.code === 'LEGAL_HOLD',
  },
  {
    operation: 'erasePersonalData',
    why: 'an event that there is not',
    status: 422,
    events: [],
    prepare: async (_world, workspaceId) => ({
      path: `${auditOf(workspaceId)}/erasures`,
      body: { events: [9999], reason: 'asked' },
    }),
  },
  {
    operation: 'eraseSystemPersonalData',
    why: 'nothing that is left',
    status: 200,
    chain: '_system',
    events: ['erasure.performed'],
    prepare: async () => ({ path: '/v1/audit/erasures', body: { actorId: 'nobody', reason: 'asked' } }),
    holds: ({ body }) => body.values === 0,
  },
  {
    operation: 'placeAuditHold',
    why: 'the first',
    status: 200,
    events: ['audit.hold.placed'],
    prepare: async (_world, workspaceId) => ({
      path: `${auditOf(workspaceId)}/hold`,
      body: { reason: 'litigation' },
    }),
  },
  {
    operation: 'placeAuditHold',
    why: 'one that is there',
    status: 200,
    events: [],
    prepare: held,
  },
  {
    operation: 'releaseAuditHold',
    why: 'one that is there',
    status: 200,
    events: ['audit.hold.released'],
    prepare: held,
  },
  {
    operation: 'releaseAuditHold',
    why: 'none',
    status: 200,
    events: [],
    prepare: async (_world, workspaceId) => ({ path: `${auditOf(workspaceId)}/hold`, body: { reason: 'settled' } }),
  },
  {
    operation: 'placeSystemAuditHold',
    why: 'the first',
    status: 200,
    chain: '_system',
    events: ['audit.hold.placed'],
    prepare: async () => ({ path: '/v1/audit/hold', body: { reason: 'litigation' } }),
  },
  {
    operation: 'releaseSystemAuditHold',
    why: 'the one before',
    status: 200,
    chain: '_system',
    events: ['audit.hold.released'],
    prepare: async (world) => {
      const path = '/v1/audit/hold';
      await world.expect(200, 'kernel-admin', 'PUT', path, { reason: 'litigation' });
      return { path, body: { reason: 'settled' } };
    },
  },
  {
    operation: 'placeAccessLock',
    why: 'a principal',
    status: 201,
    chain: '_system',
    events: ['access.lock.placed'],
    prepare: async () => ({ path: '/v1/access/locks', body: { principalId: 'p-7f3a', reason: 'lost laptop' } }),
    holds: ({ body }) => body.state === 'active',
  },
  {
    operation: 'placeAccessLock',
    why: 'oneself',
    status: 409,
    chain: '_system',
    events: [],
    prepare: async () => ({ path: '/v1/access/locks', body: { principalId: 'kernel-admin', reason: 'a slip' } }),
  },
  {
    operation: 'releaseAccessLock',
    why: 'one that is there',
    status: 200,
    chain: '_system',
    events: ['access.lock.released'],
    prepare: async (world) => {
      const lock = { serial: '0a:0b', reason: 'lost laptop' };
      const { body } = await world.expect(201, 'kernel-admin', 'POST', '/v1/access/locks', lock);
      return { path: `/v1/access/locks/${body.lockId}`, body: { reason: 'found again' } };
    },
  },
  {
    operation: 'patchWorkspaceSettings',
    why: 'other settings',
    status: 200,
    events: ['workspace.settings.changed'],
    prepare: async (_world, workspaceId) => ({
      path: `/v1/workspaces/${workspaceId}/settings`,
      body: { defaultTtlSeconds: 600 },
    }),
  },
  {
    operation: 'patchWorkspaceSettings',
    why: 'the settings it has',
    status: 200,
    events: [],
    prepare: async (_world, workspaceId) => ({
      path: `/v1/workspaces/${workspaceId}/settings`,
      body: { limits: null },
    }),
  },
  {
    operation: 'suspendWorkspace',
    why: 'one in which an agent runs',
    status: 200,
    events: ['agent.stopped', 'workspace.suspended'],
    prepare: async (world, workspaceId) => {
      await running(world, workspaceId);
      return { path: `/v1/workspaces/${workspaceId}/suspend`, body: { reason: 'an incident' } };
    },
    holds: ({ body }) => body.state === 'suspended' && body.stopped === 1,
  },
  {
    operation: 'suspendWorkspace',
    why: 'one that is suspended',
    status: 200,
    events: [],
    prepare: async (world, workspaceId) => ({
      path: await suspended(world, workspaceId, 'suspend'),
      body: { reason: 'an incident' },
    }),
  },
  {
    operation: 'resumeWorkspace',
    why: 'one that is suspended',
    status: 200,
    events: ['workspace.resumed'],
    prepare: async (world, workspaceId) => ({
      path: await suspended(world, workspaceId, 'resume'),
      body: { reason: 'all is well' },
    }),
    holds: ({ body }) => body.state === 'active',
  },
  {
    operation: 'resumeWorkspace',
    why: 'one that works',
    status: 200,
    events: [],
    prepare: async (_world, workspaceId) => ({
      path: `/v1/workspaces/${workspaceId}/resume`,
      body: { reason: 'all is well' },
    }),
  },
  {
    operation: 'elevate',
    why: 'for some minutes',
    status: 201,
    events: ['access.breakglass.granted'],
    prepare: async (_world, workspaceId) => ({ path: '/v1/break-glass', body: elevationIn(workspaceId) }),
    holds: ({ body }) => body.state === 'active',
  },
  {
    operation: 'elevate',
    why: 'a second time',
    status: 409,
    events: [],
    prepare: async (world, workspaceId) => {
      await world.expect(201, 'kernel-admin', 'POST', '/v1/break-glass', elevationIn(workspaceId));
      return { path: '/v1/break-glass', body: elevationIn(workspaceId) };
    },
  },
  {
    operation: 'elevate',
    why: 'again, when the one before is over and nobody has written that down',
    status: 201,
    events: ['access.breakglass.ended', 'access.breakglass.granted'],
    prepare: async (world, workspaceId) => {
      await world.expect(201, 'kernel-admin', 'POST', '/v1/break-glass', elevationIn(workspaceId));
      world.pass(10 * MINUTE);
      return { path: '/v1/break-glass', body: elevationIn(workspaceId) };
    },
  },
  {
    operation: 'endElevation',
    why: 'by its holder',
    status: 200,
    events: ['access.breakglass.ended'],
    prepare: async (world, workspaceId) => {
      const { body } = await world.expect(201, 'kernel-admin', 'POST', '/v1/break-glass', elevationIn(workspaceId));
      return { path: `/v1/break-glass/${body.elevationId}` };
    },
    holds: ({ body }) => body.endCause === 'holder',
  },
];
