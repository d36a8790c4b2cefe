import type { Writable } from 'node:stream';
import { type ParseArgsConfig, parseArgs } from 'node:util';

import { VerifyError } from '../audit/verify/errors.ts';
import type { Environment } from '../config/read.ts';
import { ConfigError } from '../config.ts';
import { CodedError } from '../errors.ts';
import { asUnavailable, isUnusable, StorageError } from '../storage/pg-errors.ts';

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

/**
 * Runs a command's work and turns its failure into a message and an exit code. `away`: the code for a file, port or
 * database that cannot be had.
 */
export async function guarded(
  io: CommandIo,
  usage: string,
  work: () => Promise<number>,
  away: number = EXIT.io,
): Promise<number> {
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
    io.stderr.write(`castellan: ${describe(error)}\n`);
    return isAway(error) ? away : EXIT.failed;
  }
}

/** What an operator can act on: an expected failure with its cause, or the stack of one that nobody expected. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (!(error instanceof CodedError || isAway(error) || asUnavailable(error))) return error.stack ?? error.message;
  const code = 'code' in error ? String(error.code) : error.name;
  if (isUnusable(error)) return `the database cannot be read: ${error.message} (${code})`;
  const cause = error.cause instanceof Error ? ` (${describe(error.cause)})` : '';
  return `${error.message === '' ? code : error.message}${cause}`;
}

function isAway(error: unknown): boolean {
  if (error instanceof StorageError) return error.code === 'DATABASE_UNAVAILABLE';
  if (error instanceof VerifyError) return error.code === 'UNREADABLE';
  return isUnusable(error) || (error instanceof Error && 'syscall' in error);
}
