import type { VerificationKey } from '../crypto/verify.ts';
import type { Trx } from '../storage/database.ts';
import type { Storage } from '../storage/storage.ts';
import { activationTime, bindingProblem } from './binding.ts';
import { PolicyEvaluationError } from './errors.ts';
import { type BoundVersionRow, findBoundVersion } from './store.ts';

/** Pairs of workspace and hash known to be bound; a workspace has one or two in use. */
const MAX_BOUND = 20_000;

/**
 * The key of an audit signer whose signature made at `at` (ms since the epoch) counts, or undefined: unknown, not for
 * audit, compromised, revoked by then.
 */
export type FindAuditKey = (trx: Trx, signerId: string, at: number) => Promise<VerificationKey | undefined>;

/** The part of the engine that loading needs. */
export interface LoadingEngine {
  has(hash: string): boolean;
  /** Rejects when the wasm cannot be run here. */
  load(hash: string, wasm: Buffer): Promise<void>;
}

/** What the stored bytes and the signed event agree on. */
export interface BoundVersion {
  readonly version: number;
  readonly policySet: string;
  readonly hash: string;
  readonly wasmSha256: string;
  readonly compilerVersion: string;
}

export interface PolicyLoader {
  /** In the engine and bound to the workspace's signed event, else POLICY_UNAVAILABLE. One load at a time per version. */
  ensureLoaded(workspaceId: string, hash: string): Promise<void>;
  /**
   * As ensureLoaded, for the version that a head names as active by the event `activationSeq`: a head that was pointed at
   * another version without an event, or back at an event of the past, is refused however well that version is known.
   * Null: the reader of the head saw that the chain has a later activation.
   */
  ensureActive(workspaceId: string, hash: string, activationSeq: number | null): Promise<void>;
  /** Reads and compares the stored version again, whatever is loaded. Undefined: the workspace has no such version. */
  verify(workspaceId: string, hash: string): Promise<BoundVersion | undefined>;
}

/** A bound version, and whether the head named it as active by that event when it was read. */
interface VerifiedVersion extends BoundVersion {
  readonly active: boolean;
  readonly activationSeq: number;
}

/**
 * Brings stored versions into the engine, fail closed. The engine knows versions by hash alone, so the loader keeps
 * which workspace's own events vouch for which hash: an edited head cannot borrow another workspace's policy.
 */
export function createPolicyLoader(options: {
  storage: Storage;
  engine: LoadingEngine;
  findAuditKey: FindAuditKey;
}): PolicyLoader {
  const { storage, engine, findAuditKey } = options;
  const bound = new Map<string, string>();
  /** The one activation of a workspace that was verified last: an older one is verified again, and then refused. */
  const active = new Map<string, string>();
  const loading = new Map<string, Promise<VerifiedVersion | undefined>>();

  async function ensureLoaded(workspaceId: string, hash: string): Promise<void> {
    const key = `${workspaceId} ${hash}`;
    if (bound.has(key) && engine.has(hash)) return;
    await requireVersion(workspaceId, hash);
  }

  async function ensureActive(workspaceId: string, hash: string, activationSeq: number | null): Promise<void> {
    const activation = `${hash} ${activationSeq}`;
    if (activationSeq !== null && active.get(workspaceId) === activation && engine.has(hash)) return;
    const version = await requireVersion(workspaceId, hash);
    if (activationSeq === null) throw unavailable('the head is not at the newest activation');
    // Where the head has moved on since it was read, the decision is made again under the lock.
    if (version.active && version.activationSeq === activationSeq) remember(active, workspaceId, activation);
  }

  async function requireVersion(workspaceId: string, hash: string): Promise<VerifiedVersion> {
    const version = await verify(workspaceId, hash);
    if (version === undefined) throw unavailable('the workspace has no such policy version');
    return version;
  }

  function verify(workspaceId: string, hash: string): Promise<VerifiedVersion | undefined> {
    const key = `${workspaceId} ${hash}`;
    const running = loading.get(key);
    if (running !== undefined) return running;
    const load = loadOnce(workspaceId, hash).finally(() => loading.delete(key));
    loading.set(key, load);
    return load;
  }

  async function loadOnce(workspaceId: string, hash: string): Promise<VerifiedVersion | undefined> {
    const { row, key } = await storage.read(workspaceId, async (trx) => {
      const found = await findBoundVersion(trx, workspaceId, hash);
      return { row: found, key: found === undefined ? undefined : await keyOf(trx, found) };
    });
    if (row === undefined) return undefined;
    const problem = bindingProblem(workspaceId, row, key);
    if (problem !== undefined) throw unavailable(problem);
    if (!engine.has(hash)) await load(hash, row.wasm);
    remember(bound, `${workspaceId} ${hash}`, hash);
    return {
      version: row.version,
      policySet: row.policy_set,
      hash: row.hash,
      wasmSha256: row.wasm_sha256,
      compilerVersion: row.compiler_version,
      active: row.active,
      activationSeq: Number(row.seq),
    };
  }

  async function keyOf(trx: Trx, row: BoundVersionRow): Promise<VerificationKey | undefined> {
    const at = activationTime(row);
    return row.signer_id === null || at === undefined ? undefined : findAuditKey(trx, row.signer_id, at);
  }

  /** It ran when it was activated: what keeps it from running now is this replica's trouble, not the policy's word. */
  async function load(hash: string, wasm: Buffer): Promise<void> {
    try {
      await engine.load(hash, wasm);
    } catch (cause) {
      throw unavailable('the policy cannot be loaded here', cause);
    }
  }

  return { ensureLoaded, ensureActive, verify };
}

function remember(known: Map<string, string>, key: string, value: string): void {
  known.delete(key);
  known.set(key, value);
  if (known.size <= MAX_BOUND) return;
  const oldest = known.keys().next();
  if (oldest.done !== true) known.delete(oldest.value);
}

function unavailable(message: string, cause?: unknown): PolicyEvaluationError {
  return new PolicyEvaluationError('POLICY_UNAVAILABLE', message, cause);
}
