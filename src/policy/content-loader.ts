import { sha256Digest } from '../crypto/digest.ts';
import type { Storage } from '../storage/storage.ts';
import { findVersionBytes } from './bound-version.ts';
import { atMost, within } from './bounded-work.ts';
import { unavailable } from './evaluator/no-answer.ts';

/** Contents read and compiled at a time: each takes a connection, a megabyte and a worker for a moment. */
const MAX_LOADS = 2;

/** The part of the engine that loading needs. */
export interface LoadingEngine {
  has(hash: string): boolean;
  /** Rejects when the wasm cannot be run here. */
  load(hash: string, wasm: Buffer): Promise<void>;
}

/** Has the content in the engine when it resolves, else POLICY_UNAVAILABLE. The caller has seen that an event vouches for it. */
export type LoadContent = (workspaceId: string, content: { hash: string; wasmSha256: string }) => Promise<void>;

/**
 * Loads a content once for all workspaces that have it: it is known by the digests of its bytes, so whose bytes they
 * are makes no difference. That a workspace may use it is not decided here.
 */
export function createContentLoader(options: {
  storage: Storage;
  engine: LoadingEngine;
  /** Ms for one load, from when its turn has come. */
  limitMs: number;
}): LoadContent {
  const { storage, engine, limitMs } = options;
  const loading = new Map<string, Promise<void>>();
  const inTurn = atMost(MAX_LOADS);

  return async (workspaceId, content) => {
    if (engine.has(content.hash)) return;
    const key = `${content.hash} ${content.wasmSha256}`;
    const load =
      loading.get(key) ??
      inTurn(() => within(limitMs, loadStored(workspaceId, content))).finally(() => loading.delete(key));
    loading.set(key, load);
    await load;
  };

  async function loadStored(workspaceId: string, { hash, wasmSha256 }: { hash: string; wasmSha256: string }) {
    const bytes = await storage.read(workspaceId, (trx) => findVersionBytes(trx, workspaceId, hash));
    // What runs here was hashed here, whatever the server said of it.
    if (bytes === undefined || sha256Digest(bytes.bundle) !== hash || sha256Digest(bytes.wasm) !== wasmSha256) {
      throw unavailable('the stored version changed while it was loaded');
    }
    try {
      await engine.load(hash, bytes.wasm);
    } catch (cause) {
      // It ran when it was activated: what keeps it from running now is this replica's trouble, not the policy's word.
      throw unavailable('the policy cannot be loaded here', cause);
    }
  }
}
