import { type Static, Type } from '@sinclair/typebox';
import { TypeCompiler } from '@sinclair/typebox/compiler';

import { type BatchPlace, storedMessage } from '../audit/signing-mode.ts';
import { sha256Hex } from '../crypto/digest.ts';
import { type VerificationKey, verifySignature } from '../crypto/verify.ts';
import type { BoundVersionRow } from './bound-version.ts';

const ACTIVATION_TYPES = ['policy.activated', 'policy.rolledback', 'policy.shadowed'] as const;

/** The members of an activation event's body that bind a version; the rest is the audit verifier's concern. */
const ActivationBody = Type.Object({
  chain: Type.String(),
  seq: Type.Integer(),
  eventType: Type.Union(ACTIVATION_TYPES.map((type) => Type.Literal(type))),
  signerId: Type.String(),
  payload: Type.Object({
    policySet: Type.String(),
    version: Type.Integer(),
    policyHash: Type.String(),
    wasmSha256: Type.String(),
    compilerVersion: Type.String(),
  }),
});
type ActivationBody = Static<typeof ActivationBody>;
const activationBody = TypeCompiler.Compile(ActivationBody);

/** When the event of a version says that it was made, ms since the epoch: the body's word, **unverified**. */
export function activationTime({ body }: BoundVersionRow): number | undefined {
  if (body === null) return undefined;
  const { ts } = membersOf(body);
  const at = typeof ts === 'string' ? Date.parse(ts) : Number.NaN;
  return Number.isNaN(at) ? undefined : at;
}

/**
 * Why the stored bytes are not what the signed event says, or undefined when they are. Every digest is computed anew
 * from the stored bytes: a row that somebody edited, bundle, wasm or head, cannot vouch for itself.
 */
export function bindingProblem(
  workspaceId: string,
  row: BoundVersionRow,
  key: VerificationKey | undefined,
): string | undefined {
  if (row.bundle_digest !== row.hash) return 'the stored bundle does not have the hash of its version';
  if (row.wasm_digest !== row.wasm_sha256) return 'the stored wasm does not have its digest';
  if (row.body === null || row.seq === null || row.signature === null) return 'no signed event activated this version';
  if (row.active && Number(row.newest_seq) !== Number(row.seq)) return 'the head is not at the newest activation';
  if (sha256Hex(row.body) !== row.event_hash) return 'the activation event does not have its hash';
  if (key === undefined) return 'the signer of the activation event is not trusted';
  const message = storedMessage({ body: row.body }, placeOf(row));
  if (message === undefined || !verifySignature(key, message, Buffer.from(row.signature, 'base64'))) {
    return 'the signature of the activation event does not verify';
  }
  const body: unknown = membersOf(row.body);
  if (!activationBody.Check(body)) return 'the event does not activate a policy';
  return statementProblem(workspaceId, row, body);
}

function placeOf({ batch_index: index, batch_size: size, batch_path: path }: BoundVersionRow): BatchPlace | undefined {
  return index === null || size === null || path === null ? undefined : { index, size, path };
}

/** A body that is no JSON object has no members: it was edited, and its hash says so. */
function membersOf(body: Buffer): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'));
    return typeof value === 'object' && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}

function statementProblem(workspaceId: string, row: BoundVersionRow, body: ActivationBody): string | undefined {
  const { payload } = body;
  if (body.chain !== workspaceId || body.seq !== Number(row.seq)) return 'the activation event is of another place';
  if (body.signerId !== row.signer_id) return 'the activation event names another signer';
  if (payload.policyHash !== row.hash) return 'the activation event names another policy hash';
  if (payload.wasmSha256 !== row.wasm_digest) return 'the activation event names another wasm';
  const same =
    payload.version === row.version &&
    payload.policySet === row.policy_set &&
    payload.compilerVersion === row.compiler_version;
  return same ? undefined : 'the activation event names another version';
}
