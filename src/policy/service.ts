import type { UnitScope } from '../audit/append.ts';
import type { Actor } from '../audit/event.ts';
import type { Trx } from '../storage/database.ts';
import { within } from './bounded-work.ts';
import { PolicyEvaluationError } from './errors.ts';
import type { PolicyEngine, PolicyOutcome, PolicyPackage } from './evaluator/engine.ts';
import { type PolicyHead, readHead } from './head.ts';
import { type NewPolicy, pointHead, storeVersion } from './head-change.ts';
import { LOAD_LIMIT_MS, type PolicyLoader } from './loader.ts';
import { bumpRevision } from './store.ts';

/** The head that a decision is made under. */
interface GoverningHead {
  readonly hash: string;
  /** As for `evaluate`. */
  readonly activationSeq: number | null;
  readonly candidate: string | null;
}

/** What the other slices ask of policy. */
export interface PolicyService {
  /** The active version as `trx` sees it. NotFound when there is no such workspace. */
  head(trx: Trx, workspaceId: string): Promise<PolicyHead>;
  /**
   * Has the version with that hash in the engine when it resolves. Its bytes are hashed again and compared with the
   * signed event that activated it; anything that does not fit rejects with POLICY_UNAVAILABLE. Single flight.
   */
  ensureLoaded(workspaceId: string, hash: string): Promise<void>;
  /**
   * Loads what a decision under that head will ask, before its own time runs. Rejects with POLICY_UNAVAILABLE when the
   * active version is not there within 5 s. A version that does not fit its event is left to `evaluate`, which refuses it;
   * so is the candidate, whose load is only begun.
   */
  prepare(workspaceId: string, head: GoverningHead): Promise<void>;
  /** Whether the active version is loaded at this moment: others may push it out. */
  isPrepared(workspaceId: string, head: GoverningHead): boolean;
  /**
   * The answer of one package of that version; undefined when the version has no such package. Loads when needed. With
   * `activationSeq` the version must be the active one by that event, else POLICY_UNAVAILABLE; without, it is not enforced.
   */
  evaluate(
    workspaceId: string,
    hash: string,
    policyPackage: PolicyPackage,
    input: unknown,
    activationSeq?: number | null,
  ): Promise<PolicyOutcome | undefined>;
  /** Gives a new workspace the shipped policy as version 1, with its event, in the unit that creates the workspace. */
  activateDefault(scope: UnitScope, workspaceId: string, actor: Actor): Promise<void>;
  /** Makes the snapshot's revision rise; to be called in the unit that changes which agents are invalidated. */
  bumpRevision(trx: Trx, workspaceId: string): Promise<void>;
  /** Resolves when the engine can evaluate the shipped policy; rejects with POLICY_UNAVAILABLE when it cannot. */
  ready(): Promise<void>;
}

/** What `ready` evaluates: an empty question has an answer, a denial. */
const TRIAL_INPUT = { actor: { id: 'castellan', kind: 'service', roles: [] }, mode: 'promote' };

/** The policy of the other slices, over stored versions. */
export function createPolicyService(options: {
  engine: PolicyEngine;
  loader: PolicyLoader;
  shipped: NewPolicy;
  observe: { decided(seconds: number): void };
  /** Ms that a decision waits for its policy to be loaded. */
  loadLimitMs?: number;
}): PolicyService {
  const { engine, loader, shipped, observe, loadLimitMs = LOAD_LIMIT_MS } = options;

  async function prepare(workspaceId: string, head: GoverningHead): Promise<void> {
    const { hash, activationSeq, candidate } = head;
    // Beside the active one, so that it is there in time; that it cannot be loaded is said when it is asked.
    if (candidate !== null) loader.ensureLoaded(workspaceId, candidate).catch(() => undefined);
    if (isPrepared(workspaceId, head)) return;
    await within(loadLimitMs, loader.prepareActive(workspaceId, hash, activationSeq));
  }

  function isPrepared(workspaceId: string, { hash, activationSeq }: GoverningHead): boolean {
    return loader.isActive(workspaceId, hash, activationSeq);
  }

  async function evaluate(
    workspaceId: string,
    hash: string,
    policyPackage: PolicyPackage,
    input: unknown,
    activationSeq?: number | null,
  ) {
    const started = performance.now();
    try {
      if (activationSeq === undefined) await loader.ensureLoaded(workspaceId, hash);
      else await loader.ensureActive(workspaceId, hash, activationSeq);
      return await evaluateLoaded(workspaceId, hash, policyPackage, input);
    } finally {
      observe.decided((performance.now() - started) / 1000);
    }
  }

  async function evaluateLoaded(workspaceId: string, hash: string, policyPackage: PolicyPackage, input: unknown) {
    try {
      return await engine.evaluate(hash, policyPackage, input, { workspaceId });
    } catch (error) {
      // Others may have pushed it out between the two steps; once is bad luck, twice is an overloaded replica.
      if (engine.has(hash)) throw error;
      await loader.ensureLoaded(workspaceId, hash);
      return engine.evaluate(hash, policyPackage, input, { workspaceId });
    }
  }

  async function activateDefault(scope: UnitScope, workspaceId: string, actor: Actor): Promise<void> {
    const version = await storeVersion(scope, workspaceId, shipped, undefined, { actor });
    const caller = { actor };
    await pointHead(scope, workspaceId, {
      type: 'policy.activated',
      head: undefined,
      version,
      reason: undefined,
      caller,
    });
  }

  async function ready(): Promise<void> {
    const { bundle, compiled } = shipped;
    // Bytes of our own package: nothing stored is involved.
    if (!engine.has(bundle.hash)) await engine.load(bundle.hash, compiled.wasm);
    const outcome = await engine.evaluate(bundle.hash, 'castellan.promotion', TRIAL_INPUT);
    if (outcome === undefined)
      throw new PolicyEvaluationError('POLICY_UNAVAILABLE', 'the shipped policy has no answer');
  }

  const { ensureLoaded } = loader;
  return { head: readHead, ensureLoaded, prepare, isPrepared, evaluate, activateDefault, bumpRevision, ready };
}
