import type { Writable } from 'node:stream';
import { type ParseArgsConfig, parseArgs } from 'node:util';

import type { Environment } from '../config/read.ts';
import { ConfigError } from '../config.ts';

/** Exit codes of every subcommand (contract §2, §12). */
export const EXIT = { ok: 0, failed: 1, io: 3, usage: 64, config: 78 } as const;

/** The process as a subcommand sees it; nothing else reads the environment or writes to the terminal. */
export interface CommandIo {
  readonly env: Environment;
  readonly stdout: Writable;
  readonly stderr: Writable;
}

export interface Command {
  /** As typed: `audit verify`. */
  readonly name: string;
  readonly summary: string;
  run(argv: readonly string[], io: CommandIo): Promise<number>;
}

/** Wrong arguments; the process ends with 64 and the usage text. */
export class UsageError extends Error {}

type Options = NonNullable<ParseArgsConfig['options']>;

/** Strict parsing: an unknown option or a stray word is a UsageError. `--help` is always known. */
export function parseOptions<T extends Options>(argv: readonly string[], options: T, positionals = 0) {
  try {
    const parsed = parseArgs({
      args: [...argv],
      options: { ...options, help: { type: 'boolean', short: 'h' } as const },
      allowPositionals: positionals > 0,
      strict: true,
    });
    if (parsed.positionals.length > positionals) throw new UsageError(`unexpected ${parsed.positionals.at(-1)}`);
    return parsed;
  } catch (error) {
    throw error instanceof UsageError
      ? error
      : new UsageError(error instanceof Error ? error.message : 'bad arguments');
  }
}

/** Runs a command's work and turns its expected failures into a message and an exit code. */
export async function guarded(io: CommandIo, usage: string, work: () => Promise<number>): Promise<number> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof UsageError) {
      io.stderr.write(`${error.message}\n\n${usage}`);
      return EXIT.usage;
    }
    if (error instanceof ConfigError) {
      io.stderr.write(`${error.message}\n`);
      return EXIT.config;
    }
    throw error;
  }
}
