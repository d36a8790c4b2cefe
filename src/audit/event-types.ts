import { type Static, type TObject, type TProperties, Type } from '@sinclair/typebox';

const id = Type.String({ description: 'UUIDv7' });
const digest = Type.String({ description: 'sha256: and lower-case hex' });
const text = Type.String();
const time = Type.String({ description: 'RFC 3339 UTC with milliseconds' });
const count = Type.Integer();
const denies = Type.Array(Type.Object({ code: text, reason: text, severity: text, check: text }));

function payload<T extends TProperties>(properties: T): TObject<T> {
  return Type.Object(properties, { additionalProperties: false });
}

/** A version of a policy begins to count, or to be tried; it binds the hash to what was compiled from it. */
const activation = payload({
  policySet: text,
  version: count,
  policyHash: digest,
  wasmSha256: digest,
  compilerVersion: text,
  previousHash: Type.Union([digest, Type.Null()]),
  reason: Type.Optional(text),
});

/** Every event Castellan writes, with the members of its payload. Names are never changed or reused. */
export const EVENT_TYPES = {
  'workspace.created': payload({ workspaceId: text, displayName: text }),
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
  'agent.stopped': payload({ agentId: id, reason: Type.Optional(text) }),
  'agent.expired': payload({ agentId: id, expiresAt: time, wasRunning: Type.Boolean() }),
  'agent.quarantined': payload({ agentId: id, reason: text, wasRunning: Type.Boolean() }),
  'agent.released': payload({
    agentId: id,
    reason: text,
    decisionId: id,
    policyHash: digest,
    proofId: Type.Optional(id),
  }),
  'agent.release.denied': payload({ agentId: id, reason: text, decisionId: id, policyHash: digest, denies }),
  'agent.revalidated': payload({ agentId: id, revalidationId: id, policyHash: digest }),
  'agent.invalidated': payload({
    agentId: id,
    revalidationId: id,
    policyHash: digest,
    wasRunning: Type.Boolean(),
    denies,
  }),
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
  }),
  'signer.revoked': payload({ signerId: text, purpose: text, revokedAt: time, reason: text }),
  'access.denied': payload({
    code: text,
    route: text,
    permission: Type.Optional(text),
    workspaceDigest: Type.Optional(digest),
    reason: text,
    count,
  }),
  'audit.deferred.covered': payload({ from: count, to: count }),
} as const;

export type EventType = keyof typeof EVENT_TYPES;
export type EventPayload<T extends EventType> = Static<(typeof EVENT_TYPES)[T]>;
