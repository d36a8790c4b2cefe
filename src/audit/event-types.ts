import { type Static, Type } from '@sinclair/typebox';

import { ACCESS_EVENTS } from './access-events.ts';
import { count, digest, id, payload, personal, text, time } from './event-members.ts';

const denies = Type.Array(Type.Object({ code: text, reason: text, severity: text, check: text }));

/** A version of a policy begins to count, or to be tried; it binds the hash to what was compiled from it. */
const activation = payload({
  policySet: text,
  version: count,
  policyHash: digest,
  wasmSha256: digest,
  compilerVersion: text,
  previousHash: Type.Union([digest, Type.Null()]),
  reason: Type.Optional(personal),
});

/** A manifest of the Kernel was presented; `for`: what it was presented for. */
const manifest = {
  manifestId: Type.Optional(text),
  manifestHash: Type.Optional(digest),
  signerId: Type.Optional(text),
};

/** The registry as it stands after the change: its number, and the digest of its canonical form (docs/audit-format.md §4). */
const registry = { registryVersion: Type.Optional(count), registryDigest: Type.Optional(digest) };

/** Every event Castellan writes, with the members of its payload. Names are never changed or reused. */
export const EVENT_TYPES = {
  'workspace.created': payload({ workspaceId: text, displayName: text }),
  'workspace.settings.changed': payload({ workspaceId: text, settings: Type.Array(text), settingsDigest: digest }),
  'workspace.suspended': payload({ workspaceId: text, reason: personal, stopped: count }),
  'workspace.resumed': payload({ workspaceId: text, reason: personal }),
  'agent.created': payload({ agentId: id, specVersion: count, specHash: digest, expiresAt: time }),
  'agent.updated': payload({ agentId: id, specVersion: count, specHash: digest, previousSpecHash: digest }),
  'agent.forked': payload({
    agentId: id,
    specVersion: count,
    specHash: digest,
    expiresAt: time,
    from: Type.Object({ agentId: id, specVersion: count }),
  }),
  'agent.deleted': payload({ agentId: id, mode: text, specVersion: count, specHash: text }),
  'agent.start.allowed': payload({
    agentId: id,
    decisionId: id,
    mode: text,
    specVersion: count,
    specHash: text,
    policyHash: digest,
    replicas: count,
  }),
  'agent.start.denied': payload({
    agentId: id,
    decisionId: id,
    mode: text,
    specHash: text,
    policyHash: digest,
    denies,
  }),
  'agent.stopped': payload({ agentId: id, reason: Type.Optional(personal) }),
  'agent.scaled': payload({ agentId: id, decisionId: Type.Optional(id), replicas: count, previousReplicas: count }),
  'agent.expired': payload({ agentId: id, expiresAt: time, wasRunning: Type.Boolean() }),
  'agent.quarantined': payload({ agentId: id, reason: personal, wasRunning: Type.Boolean() }),
  'agent.released': payload({
    agentId: id,
    reason: personal,
    decisionId: id,
    policyHash: digest,
    proofId: Type.Optional(id),
  }),
  'agent.release.denied': payload({ agentId: id, reason: personal, decisionId: id, policyHash: digest, denies }),
  'agent.revalidated': payload({ agentId: id, revalidationId: id, policyHash: digest }),
  'agent.invalidated': payload({
    agentId: id,
    revalidationId: id,
    policyHash: digest,
    wasRunning: Type.Boolean(),
    denies,
  }),
  'promotion.requested': payload({
    agentId: id,
    promotionId: id,
    decisionId: id,
    specVersion: count,
    specHash: digest,
    policyHash: digest,
    approvalsRequired: count,
  }),
  'promotion.approval.given': payload({ agentId: id, promotionId: id, approvals: count, approvalsRequired: count }),
  'promotion.rejected': payload({ agentId: id, promotionId: id, reason: personal }),
  'promotion.lapsed': payload({ agentId: id, promotionId: id, cause: text }),
  'promotion.approved': payload({
    agentId: id,
    promotionId: id,
    decisionId: id,
    specVersion: count,
    specHash: digest,
    policyHash: digest,
  }),
  'promotion.denied': payload({
    agentId: id,
    promotionId: id,
    decisionId: id,
    specHash: digest,
    policyHash: digest,
    denies,
  }),
  'proof.issued': payload({
    agentId: id,
    proofId: id,
    promotionId: id,
    proofDigest: digest,
    signerId: text,
    expiresAt: time,
  }),
  'proof.renewed': payload({
    agentId: id,
    proofId: id,
    previousProofId: id,
    proofDigest: digest,
    policyHash: digest,
    signerId: text,
    expiresAt: time,
  }),
  'proof.mass.renewed': payload({
    revalidationId: id,
    statementDigest: digest,
    policyHash: digest,
    signerId: text,
    expiresAt: time,
    agents: Type.Array(Type.Object({ agentId: id, proofId: id, previousProofId: id })),
  }),
  'template.created': payload({ templateId: text, version: count, configHash: digest }),
  'template.updated': payload({ templateId: text, version: count, configHash: digest, previousConfigHash: digest }),
  'template.deleted': payload({ templateId: text, version: count }),
  'manifest.accepted': payload({
    ...manifest,
    agentConfigHash: digest,
    agentId: Type.Optional(id),
    templateId: Type.Optional(text),
    expiresAt: time,
  }),
  'manifest.rejected': payload({ ...manifest, code: text }),
  'killswitch.engaged': payload({ scope: text, agentId: Type.Optional(id), reason: personal }),
  'killswitch.cleared': payload({ scope: text, agentId: Type.Optional(id), reason: personal }),
  'policy.activated': activation,
  'policy.rolledback': activation,
  'policy.shadowed': activation,
  'policy.rejected': payload({ policySet: text, code: text, detail: text }),
  'revalidation.requested': payload({ revalidationId: id, policyHash: digest, cause: text, agents: count }),
  'signer.registered': payload({
    signerId: text,
    alg: text,
    purpose: text,
    publicKeyDigest: Type.Union([digest, Type.Null()]),
    notBefore: Type.Optional(time),
    notAfter: Type.Optional(time),
    ...registry,
  }),
  'signer.rotation.requested': payload({
    signerId: text,
    alg: text,
    purpose: text,
    publicKeyDigest: digest,
    replaces: text,
    emergency: Type.Boolean(),
    reason: Type.Optional(personal),
    ...registry,
  }),
  'signer.rotation.applied': payload({
    signerId: text,
    purpose: text,
    replaces: text,
    reason: Type.Optional(personal),
    ...registry,
  }),
  'signer.retired': payload({ signerId: text, purpose: text, retiredAt: time, ...registry }),
  'signer.range.closed': payload({ signerId: text, purpose: text, validToSize: count, ...registry }),
  'signer.revoked': payload({ signerId: text, purpose: text, revokedAt: time, reason: personal, ...registry }),
  'signer.compromise': payload({
    signerId: text,
    purpose: text,
    trustedUpTo: time,
    validToSize: Type.Optional(count),
    reason: personal,
    ...registry,
  }),
  ...ACCESS_EVENTS,
  'access.denied': payload({
    code: text,
    route: text,
    permission: Type.Optional(text),
    workspaceDigest: Type.Optional(digest),
    reason: text,
    count,
  }),
  'audit.deferred.covered': payload({ from: count, to: count }),
  'audit.signmode.switched': payload({ from: text, to: text }),
  'audit.range.reattested': payload({ signerId: text, from: count, to: count, hash: text, reason: personal }),
  'audit.hold.placed': payload({ reason: personal }),
  'audit.hold.released': payload({ reason: personal }),
  'audit.pruned': payload({ to: count, hash: text, tree: text, logSize: count, reason: personal }),
  'erasure.performed': payload({ erasureId: id, actorId: Type.Optional(text), values: count, reason: personal }),
} as const;

export type EventType = keyof typeof EVENT_TYPES;
export type EventPayload<T extends EventType> = Static<(typeof EVENT_TYPES)[T]>;
