import { canonicalBytes } from '../crypto/canonical-json.ts';
import { type Digest, sha256Digest } from '../crypto/digest.ts';
import type { CommandOutcome, CommandResult, EgressDecision } from '../runtime/isolation.ts';
import type { CommandView, ConnectionView } from './schema.ts';

/** Bytes of output that are kept of one run; each stream of each command has some of them. */
const MAX_KEPT = 2_097_152;
/** Bytes that a stream may have when nothing is left of those. */
const LEAST_KEPT = 1024;

/** What is kept of a run. */
export interface KeptResults {
  readonly commands: readonly CommandView[];
  readonly connections: readonly ConnectionView[];
}

/** A command that was not run, and why. */
export function notRun(command: string, result: CommandOutcome, note = ''): CommandView {
  return { command, result, exit_code: null, stdout: '', stderr: note, truncated: false, duration_ms: 0 };
}

/** Shortens what commands wrote so that all of a run stays within a bound; the last ones never lose everything. */
export class OutputBudget {
  #left = MAX_KEPT;

  view(command: string, result: CommandResult): CommandView {
    const stdout = this.#keep(result.stdout.text);
    const stderr = this.#keep(result.stderr.text);
    const truncated = result.stdout.truncated || result.stderr.truncated;
    const { peakMemoryBytes, cpuMs } = result.usage;
    const usage = {
      peak_memory_bytes: peakMemoryBytes === null ? null : Math.round(peakMemoryBytes),
      cpu_ms: cpuMs === null ? null : Math.round(cpuMs),
    };
    return {
      command,
      result: result.result,
      exit_code: result.exitCode,
      stdout: stdout.text,
      // Of a sandbox that could not be made: what its driver saw, which is meant for readers.
      stderr: stderr.text === '' && result.problem !== undefined ? storable(result.problem) : stderr.text,
      truncated: truncated || stdout.shortened || stderr.shortened,
      duration_ms: Math.round(result.durationMs),
      ...(result.signal === null ? {} : { signal: result.signal }),
      ...(peakMemoryBytes === null && cpuMs === null ? {} : { usage }),
    };
  }

  #keep(written: string): { text: string; shortened: boolean } {
    const text = storable(written);
    const bytes = Buffer.from(text);
    const room = Math.max(LEAST_KEPT, this.#left);
    this.#left -= Math.min(bytes.length, room);
    if (bytes.length <= room) return { text, shortened: false };
    const half = Math.floor(room / 2);
    const left = bytes.length - 2 * half;
    const head = bytes.subarray(0, half).toString('utf8');
    return { text: `${head}\n[${left} bytes left out]\n${bytes.subarray(-half).toString('utf8')}`, shortened: true };
  }
}

export function connectionView(decision: EgressDecision): ConnectionView {
  const { at, host, port, verdict, code, bytesOut, bytesIn } = decision;
  return {
    at,
    host: storable(host),
    port,
    verdict,
    ...(code === undefined ? {} : { code }),
    bytes_out: bytesOut,
    bytes_in: bytesIn,
  };
}

/** Canonical JSON has no U+0000 and no lone surrogate: with one of them the end of a run could never be kept. */
function storable(text: string): string {
  return text.toWellFormed().replaceAll('\0', '\uFFFD');
}

/** The bytes that are stored, and the digest of them, which the event of the end has. */
export function toStored({ commands, connections }: KeptResults): { bytes: Buffer; digest: Digest } {
  const bytes = canonicalBytes({ commands, connections });
  return { bytes, digest: sha256Digest(bytes) };
}

/** What was stored; undefined when it is not what the digest says. */
export function fromStored(bytes: Buffer | null, digest: string | null): KeptResults | undefined {
  if (bytes === null || digest === null || sha256Digest(bytes) !== digest) return undefined;
  return JSON.parse(bytes.toString('utf8'));
}

/** How many connections were let through, and how many were not. */
export function countConnections(connections: readonly ConnectionView[]): { allowed: number; denied: number } {
  const allowed = connections.filter(({ verdict }) => verdict === 'allowed').length;
  return { allowed, denied: connections.length - allowed };
}
