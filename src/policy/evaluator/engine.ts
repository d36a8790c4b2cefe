export const POLICY_PACKAGES = ['castellan.promotion', 'castellan.runtime', 'castellan.interaction'] as const;

export type PolicyPackage = (typeof POLICY_PACKAGES)[number];

/** One reason against it. `code` matches ^[A-Z][A-Z0-9_]{0,63}$, `reason` has at most 2,000 characters. */
export interface PolicyDenial {
  readonly code: string;
  readonly reason: string;
  readonly [member: string]: unknown;
}

/** What a package says about one input: without duplicates, in the order of the canonical JSON of the entries. */
export interface PolicyOutcome {
  readonly deny: readonly PolicyDenial[];
  readonly requireApproval: readonly unknown[];
  readonly obligations: readonly unknown[];
}

export interface EngineStats {
  readonly workers: number;
  readonly loaded: number;
  /** Estimated memory of the loaded policies in all workers. */
  readonly bytes: number;
  readonly queued: number;
  readonly evaluations: number;
  /** Evaluations that ran too long and cost a worker. */
  readonly stopped: number;
}

export interface EvaluateOptions {
  /** For whom: each workspace has its own turn and its own part of the queue. Without, those of one policy share them. */
  readonly workspaceId?: string;
  /** Aborted when nobody waits for the answer any more. */
  readonly signal?: AbortSignal;
}

/** Evaluates compiled policies, each known by its policy hash. */
export interface PolicyEngine {
  has(hash: string): boolean;
  /** The packages of a loaded policy; empty when it is not loaded. */
  packages(hash: string): readonly PolicyPackage[];
  /**
   * Makes an artifact of the compiler evaluable; resolves when it was tried in a worker and idle ones have it. The caller has verified the bytes.
   * Rejects with PolicyEvaluationError when it cannot be run here. May push out the policy longest unused.
   */
  load(hash: string, wasm: Buffer): Promise<void>;
  /**
   * Undefined when the policy has no such package. Rejects with POLICY_EVALUATION_FAILED when the policy, with this very
   * input, ran too long, trapped or answered nonsense; with POLICY_UNAVAILABLE whenever it was not asked.
   */
  evaluate(
    hash: string,
    policyPackage: PolicyPackage,
    input: unknown,
    options?: EvaluateOptions,
  ): Promise<PolicyOutcome | undefined>;
  unload(hash: string): void;
  stats(): EngineStats;
  /** Ends the workers; evaluations under way are rejected. */
  close(): Promise<void>;
}
