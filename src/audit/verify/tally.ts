/** What counts towards the verdict of the whole log. */
export interface Tally {
  events: number;
  /** Valid signatures of the signer that the event names. */
  signatures: number;
  /** Events under a checkpoint from outside that fits. */
  anchored: number;
  /** Reason → events that nothing here can verify. */
  readonly unverifiable: Map<string, number>;
}
