/**
 * Named places inside the append of audit events, where a test of faults may hold or end the process. They are handed in by whoever starts the
 * service in code; no setting and no variable arms them, so an installation cannot be made to fail from outside.
 */

/**
 * In the order they are passed: the events are hashed, signed, written in the open transaction, and that transaction is
 * committed. A checkpoint: its entries are committed, its note is signed and not stored yet.
 */
export type Failpoint =
  | 'audit.hashed'
  | 'audit.signed'
  | 'audit.inserted'
  | 'audit.committed'
  | 'checkpoint.entered'
  | 'checkpoint.signed';

/** Called at named places of the append, and (with chain `*`) of a checkpoint; production gives none. */
export type Failpoints = (name: Failpoint, chain: string) => void | Promise<void>;
