import type { SignerConfig } from '../../src/config/signing.ts';

/** What bench/audit-append.ts is to do. */
export type AppendProgram = {
  readonly seconds: number;
  readonly concurrency: number;
} & (
  | { readonly what: 'insert'; readonly rows: number }
  | {
      readonly what: 'append';
      readonly chain: string;
      readonly mode: 'event' | 'batch';
      /** Events of one unit: 1, or more where only their number matters. */
      readonly perUnit: number;
      readonly signer: SignerConfig;
      readonly kmsEndpoint?: string;
    }
);
