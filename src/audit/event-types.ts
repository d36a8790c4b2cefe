import { type Static, type TObject, type TProperties, Type } from '@sinclair/typebox';

const id = Type.String({ description: 'UUIDv7' });
const digest = Type.String({ description: 'sha256: and lower-case hex' });
const text = Type.String();
/** What a person wrote: in the body a commitment to it, `{ "c": … }`, which outlives its erasure (personal.ts). */
const personal = Type.String({ personal: true });
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
  reason: Type.Optional(personal),
});

/** The registry as it stands after the change: its number, and the digest of its canonical form (docs/audit-format.md §4). */
const registry = { registryVersion: Type.Optional(count), registryDigest: Type.Optional(digest) };

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
  'agent.stopped': payload({ agentId: id, reason: Type.Optional(personal) }),
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
