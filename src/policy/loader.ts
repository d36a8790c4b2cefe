import type { VerificationKey } from '../crypto/verify.ts';
import type { Trx } from '../storage/database.ts';
import type { Storage } from '../storage/storage.ts';
import { activationTime, bindingProblem } from './binding.ts';
import { type BoundVersionRow, findBoundVersion } from './bound-version.ts';
import { atMost } from './bounded-work.ts';
import { createContentLoader, type LoadingEngine } from './content-loader.ts';
import { unavailable } from './evaluator/no-answer.ts';

/** Pairs of workspace and hash known to be bound; a workspace has one or two in use. */
const MAX_BOUND = 20_000;
/** Versions compared at a time: when every workspace is new at once, the connections are for other work, too. */
const MAX_COMPARISONS = 4;
/** Ms for reading and compiling one content (contract §7): half of what a request has. */
export const LOAD_LIMIT_MS = 5000;

/**
 * The key of an audit signer whose signature made at `at` (ms since the epoch) counts, or undefined: unknown, not for
 * audit, or without trust by then or in that place of the log.
 */
export type FindAuditKey = (
  trx: Trx,
  signerId: string,
  at: number,
  place: { readonly chain: string; readonly seq: number },
) => Promise<VerificationKey | undefined>;

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
  /**
   * Brings into the engine what ensureActive needs there; rejects when it cannot be loaded. Whether the version fits its
   * event is not told: that is ensureActive's to refuse.
   */
  prepareActive(workspaceId: string, hash: string, activationSeq: number | null): Promise<void>;
  /** Whether ensureActive has nothing left to read or to load. */
  isActive(workspaceId: string, hash: string, activationSeq: number | null): boolean;
  /** Reads and compares the stored version again, whatever is loaded. Undefined: the workspace has no such version. */
  verify(workspaceId: string, hash: string): Promise<BoundVersion | undefined>;
}

/** A bound version, and whether the head named it as active by that event when it was read. */
interface VerifiedVersion extends BoundVersion {
  readonly active: boolean;
  readonly activationSeq: number;
}

/** A version that is bound and loaded, or why it must not be used. */
type Finding = { readonly version: VerifiedVersion } | { readonly problem: string };

/**
 * Brings stored versions into the engine, fail closed. The engine knows versions by hash alone, so the loader keeps
 * which workspace's own events vouch for which hash: an edited head cannot borrow another workspace's policy.
 */
export function createPolicyLoader(options: {
  storage: Storage;
  engine: LoadingEngine;
  findAuditKey: FindAuditKey;
  loadLimitMs?: number;
}): PolicyLoader {
  const { storage, engine, findAuditKey, loadLimitMs: limitMs = LOAD_LIMIT_MS } = options;
  const loadContent = createContentLoader({ storage, engine, limitMs });
  const bound = new Map<string, string>();
  /** The one activation of a workspace that was verified last: an older one is verified again, and then refused. */
  const active = new Map<string, string>();
  const finding = new Map<string, Promise<Finding | undefined>>();
  const inTurn = atMost(MAX_COMPARISONS);

  async function ensureLoaded(workspaceId: string, hash: string): Promise<void> {
    if (bound.has(`${workspaceId} ${hash}`) && engine.has(hash)) return;
    const found = await findRequired(workspaceId, hash);
    if ('problem' in found) throw unavailable(found.problem);
  }

  async function ensureActive(workspaceId: string, hash: string, activationSeq: number | null): Promise<void> {
    const problem = await activeProblem(workspaceId, hash, activationSeq);
    if (problem !== undefined) throw unavailable(problem);
  }

  async function prepareActive(workspaceId: string, hash: string, activationSeq: number | null): Promise<void> {
    await activeProblem(workspaceId, hash, activationSeq);
  }

  function isActive(workspaceId: string, hash: string, activationSeq: number | null): boolean {
    return activationSeq !== null && active.get(workspaceId) === `${hash} ${activationSeq}` && engine.has(hash);
  }

  async function activeProblem(workspaceId: string, hash: string, activationSeq: number | null) {
    if (isActive(workspaceId, hash, activationSeq)) return undefined;
    const found = await findRequired(workspaceId, hash);
    if ('problem' in found) return found.problem;
    if (activationSeq === null) return 'the head is not at the newest activation';
    const { version } = found;
    // Where the head has moved on since it was read, the decision is made again under the lock.
    if (version.active && version.activationSeq === activationSeq) {
      remember(active, workspaceId, `${hash} ${activationSeq}`);
    }
    return undefined;
  }

  async function verify(workspaceId: string, hash: string): Promise<VerifiedVersion | undefined> {
    const found = await find(workspaceId, hash);
    if (found !== undefined && 'problem' in found) throw unavailable(found.problem);
    return found?.version;
  }

  async function findRequired(workspaceId: string, hash: string): Promise<Finding> {
    return (await find(workspaceId, hash)) ?? { problem: 'the workspace has no such policy version' };
  }

  function find(workspaceId: string, hash: string): Promise<Finding | undefined> {
    const key = `${workspaceId} ${hash}`;
    const running = finding.get(key);
    if (running !== undefined) return running;
    const found = findOnce(workspaceId, hash).finally(() => finding.delete(key));
    finding.set(key, found);
    return found;
  }

  /** Compares without the bytes; they are read only by the first that loads their content. */
  async function findOnce(workspaceId: string, hash: string): Promise<Finding | undefined> {
    const { row, key } = await inTurn(() => storage.read(workspaceId, (trx) => readBound(trx, workspaceId, hash)));
    if (row === undefined) return undefined;
    const problem = bindingProblem(workspaceId, row, key);
    if (problem !== undefined) return { problem };
    const version = verified(row);
    await loadContent(workspaceId, version);
    remember(bound, `${workspaceId} ${hash}`, hash);
    return { version };
  }

  async function readBound(trx: Trx, workspaceId: string, hash: string) {
    const row = await findBoundVersion(trx, workspaceId, hash);
    return { row, key: row === undefined ? undefined : await keyOf(trx, workspaceId, row) };
  }

  async function keyOf(trx: Trx, chain: string, row: BoundVersionRow): Promise<VerificationKey | undefined> {
    const at = activationTime(row);
    if (row.signer_id === null || row.seq === null || at === undefined) return undefined;
    return findAuditKey(trx, row.signer_id, at, { chain, seq: Number(row.seq) });
  }

  return { ensureLoaded, ensureActive, prepareActive, isActive, verify };
}

function verified(row: BoundVersionRow): VerifiedVersion {
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

function remember(known: Map<string, string>, key: string, value: string): void {
  known.delete(key);
  known.set(key, value);
  if (known.size <= MAX_BOUND) return;
  const oldest = known.keys().next();
  if (oldest.done !== true) known.delete(oldest.value);
}
