/** Base of every error a slice throws on purpose. `code` is stable; http/problem.ts alone turns it into a status. */
export abstract class CodedError extends Error {
  abstract readonly code: string;
  /** Extra members for the problem document (`errors`, `denies`, `decisionId`, …). Never secrets. */
  readonly members: Readonly<Record<string, unknown>>;

  constructor(message: string, options: { cause?: unknown; members?: Readonly<Record<string, unknown>> } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.members = options.members ?? {};
  }
}
