import type { Claim, ClaimKey, ReadyReport } from './claim.ts';
import type { AgentKey } from './store.ts';

/** Brings what runs in line with what is claimed. Its calls return at once; what takes time goes on beside them. */
export interface Keeper {
  /** Local: what runs ends with the claim. Cluster: it lives on. */
  readonly kind: 'local' | 'cluster';
  /** Replicas that are ready here, or in the cluster. */
  readonly ready: number;
  /** Agents that have processes although this supervisor may not have claimed them. */
  found(): readonly AgentKey[];
  /** All that is claimed now; what is missing from it is another's. */
  reconcile(claims: readonly Claim[]): void;
  /** Called each round, whether or not the claims have changed. */
  tick(): void;
  reports(): readonly ReadyReport[];
  /** The row has these figures now. */
  reported(report: ReadyReport): void;
  /** Claimed agents that have no process and shall have none. */
  releases(): readonly ClaimKey[];
  /** The lease is lost: every local process ends at once. Resolves when none is left. */
  abandon(): Promise<void>;
  /** As abandon, with some grace; the agents are wanted all the same, by whoever takes over. */
  close(graceMs: number): Promise<void>;
}
