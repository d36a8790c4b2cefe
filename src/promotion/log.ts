/** Takes one structured line per decision. */
export interface DecisionLog {
  info(fields: Readonly<Record<string, unknown>>, message: string): void;
}
