import type { UnitScope } from '../audit/append.ts';
import { StaleRead } from '../audit/errors.ts';
import type { Actor } from '../audit/event.ts';
import { sha256Digest } from '../crypto/digest.ts';
import type { PolicyHead } from './head.ts';
import type { BoundVersion } from './loader.ts';
import { activate, findVersionByHash, insertVersion, nextVersion, shadow } from './store.ts';

/** A bundle in its canonical form, not compiled yet. */
export interface PolicyBundle {
  readonly policySet: string;
  readonly hash: string;
  /** The RFC 8785 bytes that the hash covers. */
  readonly bytes: Buffer;
}

export interface CompiledPolicy {
  readonly wasm: Buffer;
  readonly compilerVersion: string;
  readonly packages: readonly string[];
}

/** A policy that no version holds yet. */
export interface NewPolicy {
  readonly bundle: PolicyBundle;
  readonly compiled: CompiledPolicy;
}

/** Who changes it, for the event. */
export interface Caller {
  readonly actor: Actor;
  readonly traceId?: string | undefined;
}

export type ActivationEvent = 'policy.activated' | 'policy.rolledback' | 'policy.shadowed';

/** Stores a new version. StaleRead when the same content was stored meanwhile: its own event vouches for that one. */
export async function storeVersion(
  scope: UnitScope,
  workspaceId: string,
  { bundle, compiled }: NewPolicy,
  reason: string | undefined,
  { actor }: Caller,
): Promise<BoundVersion> {
  if ((await findVersionByHash(scope.trx, workspaceId, bundle.hash)) !== undefined) throw new StaleRead('the version');
  const version: BoundVersion = {
    version: await nextVersion(scope.trx, workspaceId),
    policySet: bundle.policySet,
    hash: bundle.hash,
    wasmSha256: sha256Digest(compiled.wasm),
    compilerVersion: compiled.compilerVersion,
  };
  await insertVersion(scope.trx, workspaceId, {
    ...version,
    bundle: bundle.bytes,
    wasm: compiled.wasm,
    packages: compiled.packages,
    createdAt: new Date(scope.now),
    createdBy: actor.id,
    reason,
  });
  return version;
}

/** The event that binds hash and wasm, and the head that names the event, in one unit. */
export async function pointHead(
  scope: UnitScope,
  workspaceId: string,
  change: {
    type: ActivationEvent;
    head: PolicyHead | undefined;
    version: BoundVersion;
    reason: string | undefined;
    caller: Caller;
  },
): Promise<void> {
  const { type, head, version, reason, caller } = change;
  const { seq } = scope.append({
    type,
    actor: caller.actor,
    traceId: caller.traceId,
    payload: {
      policySet: version.policySet,
      version: version.version,
      policyHash: version.hash,
      wasmSha256: version.wasmSha256,
      compilerVersion: version.compilerVersion,
      previousHash: head?.hash ?? null,
      ...(reason === undefined ? {} : { reason }),
    },
  });
  if (type === 'policy.shadowed') {
    await shadow(scope.trx, workspaceId, { version: version.version, hash: version.hash, seq });
    return;
  }
  await activate(scope.trx, workspaceId, {
    policySet: version.policySet,
    version: version.version,
    hash: version.hash,
    seq,
    at: new Date(scope.now),
    by: caller.actor.id,
  });
}
