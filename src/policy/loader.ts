import type { VerificationKey } from '../crypto/verify.ts';
import type { Trx } from '../storage/database.ts';
import type { Storage } from '../storage/storage.ts';
import { bindingProblem } from './binding.ts';
import { PolicyEvaluationError } from './errors.ts';
import { findBoundVersion } from './store.ts';

/** Pairs of workspace and hash known to be bound; a workspace has one or two in use. */
const MAX_BOUND = 20_000;

/** The key of an audit signer whose signature counts, or undefined: unknown, not for audit, revoked. */
export type FindAuditKey = (trx: Trx, signerId: string) => Promise<VerificationKey | undefined>;

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
  /** Reads and compares the stored version again, whatever is loaded. Undefined: the workspace has no such version. */
  verify(workspaceId: string, hash: string): Promise<BoundVersion | undefined>;
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
  const bound = new Map<string, true>();
  const loading = new Map<string, Promise<BoundVersion | undefined>>();

  function ensureLoaded(workspaceId: string, hash: string): Promise<void> {
    if (bound.has(`${workspaceId} ${hash}`) && engine.has(hash)) return Promise.resolve();
    return requireVersion(workspaceId, hash);
  }

  async function requireVersion(workspaceId: string, hash: string): Promise<void> {
    if ((await verify(workspaceId, hash)) === undefined) {
      throw new PolicyEvaluationError('POLICY_UNAVAILABLE', 'the workspace has no such policy version');
    }
  }

  function verify(workspaceId: string, hash: string): Promise<BoundVersion | undefined> {
    const key = `${workspaceId} ${hash}`;
    const running = loading.get(key);
    if (running !== undefined) return running;
    const load = loadOnce(workspaceId, hash).finally(() => loading.delete(key));
    loading.set(key, load);
    return load;
  }

  async function loadOnce(workspaceId: string, hash: string): Promise<BoundVersion | undefined> {
    const { row, key } = await storage.read(workspaceId, async (trx) => {
      const found = await findBoundVersion(trx, workspaceId, hash);
      const signerId = found?.signer_id ?? null;
      return { row: found, key: signerId === null ? undefined : await findAuditKey(trx, signerId) };
    });
    if (row === undefined) return undefined;
    const problem = bindingProblem(workspaceId, row, key);
    if (problem !== undefined) throw new PolicyEvaluationError('POLICY_UNAVAILABLE', problem);
    if (!engine.has(hash)) await engine.load(hash, row.wasm);
    remember(`${workspaceId} ${hash}`);
    return {
      version: row.version,
      policySet: row.policy_set,
      hash: row.hash,
      wasmSha256: row.wasm_sha256,
      compilerVersion: row.compiler_version,
    };
  }

  function remember(key: string): void {
    bound.delete(key);
    bound.set(key, true);
    if (bound.size <= MAX_BOUND) return;
    const oldest = bound.keys().next();
    if (oldest.done !== true) bound.delete(oldest.value);
  }

  return { ensureLoaded, verify };
}
