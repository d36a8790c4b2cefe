import { openCheckpoint, parseCheckpoint } from '../../transparency/checkpoint.ts';
import { TransparencyError } from '../../transparency/errors.ts';
import { leafHash } from '../../transparency/merkle.ts';
import { parseNote } from '../../transparency/note.ts';
import type { NoteKey } from '../../transparency/note-key.ts';
import { Agreement } from './agreement.ts';
import type { Anchor } from './anchors.ts';
import { Claims } from './claims.ts';
import type { Findings } from './finding.ts';
import { GrowingTree } from './growing-tree.ts';
import { LogCover, limitingSizes } from './log-cover.ts';
import { parseLogEntry } from './log-entry.ts';
import type { StoredEntry, StoredNote } from './log-source.ts';
import { registeredNoteKeys } from './note-keys.ts';
import type { Registry } from './registry.ts';

/** The log of checkpoints in findings; no chain can have this name. Its seq is the entry's index + 1. */
export const LOG = '*';

export interface LogContext {
  readonly registry: Registry;
  readonly findings: Findings;
  /** Only what is said of this chain is kept. */
  readonly chain: string | undefined;
  /** The registry is of the same moment as the log: it cannot know of more entries. */
  readonly registryFits?: boolean;
}

/** The log of checkpoints, entry by entry and note by note in the order of their sizes. */
export class LogCheck {
  readonly claims = new Claims();
  /** What it covers at the sizes that limit signers. */
  readonly cover: LogCover;
  readonly #context: LogContext;
  readonly #tree = new GrowingTree();
  readonly #keys = new Map<string, readonly NoteKey[]>();
  /** Of every chain, the size in its newest entry. */
  readonly #sizes = new Map<string, number>();
  /** By its own notes, which whoever has its key could have made anew. */
  readonly #own = new Agreement();
  /** By notes from outside. */
  readonly #outside = new Agreement();
  /** The log is known not to be the one that was signed: what follows from that is not told again. */
  #broken = false;
  readonly #fitting: Anchor[] = [];
  readonly #named = new Set<string>();
  #origin: string | undefined;

  constructor(context: LogContext) {
    this.#context = context;
    this.cover = new LogCover(limitingSizes(context.registry));
  }

  get size(): number {
    return this.#tree.size;
  }

  /** Checkpoints from outside that the log fits. */
  get fitting(): readonly Anchor[] {
    return this.#fitting;
  }

  /** Chains whose entries were found to be others than those signed; what their events show is the same damage. */
  get named(): ReadonlySet<string> {
    return this.#named;
  }

  /** Under which the log's newest own note was signed. */
  get origin(): string | undefined {
    return this.#origin;
  }

  entry({ index, entry, columns }: StoredEntry): void {
    const missing = this.#tree.size;
    if (index !== missing) {
      if (!this.#broken) this.#report(missing + 1, 'gap', `entry ${missing} of the log of checkpoints is missing`);
      this.#broken = true;
      this.cover.lost();
    }
    this.#tree.add(leafHash(entry));
    const parsed = parseLogEntry(entry);
    if (typeof parsed === 'string') {
      this.cover.lost();
      this.#report(index + 1, 'non-canonical', parsed);
      this.#broken = true;
      return;
    }
    const { chain, size, root } = parsed;
    if (columns !== undefined && !(columns.chain === chain && columns.size === size && columns.root.equals(root))) {
      this.#report(index + 1, 'projection-edited', 'the columns of the entry are not what the entry says');
    }
    const before = this.#sizes.get(chain) ?? 0;
    if (size <= before) {
      this.cover.add(undefined);
      const detail = `the entry has chain ${chain} at ${size}, and one before it at ${before}`;
      this.#report(index + 1, 'history-rewritten', detail);
      return;
    }
    this.#own.entered(chain, before);
    this.#outside.entered(chain, before);
    this.#sizes.set(chain, size);
    const asked = this.#context.chain === undefined || this.#context.chain === chain;
    this.cover.add(asked ? chain : undefined, size);
    if (asked) this.claims.add(chain, size, root);
  }

  /** A note of the log's own. Those past its end come after its last entry. */
  stored({ size, note }: StoredNote): void {
    const root = this.#storedRoot(size, note);
    const what = `the log's own checkpoint over ${size} entries`;
    if (root !== undefined && this.#fits(size, root, what, this.#own)) this.#own.reached(size);
  }

  anchor(anchor: Anchor): void {
    const { size, root, path } = anchor;
    if (!this.#fits(size, root, `the checkpoint ${path}`, this.#outside)) return;
    this.#own.reached(size);
    this.#outside.reached(size);
    this.#fitting.push(anchor);
    this.claims.anchor();
  }

  /** After the last entry and the last note. */
  finish(): void {
    const { largest = 0 } = this.cover;
    if (this.#broken || this.#context.registryFits !== true || largest <= this.#tree.size) return;
    const detail = `the registry knows of ${largest} entries; the log of checkpoints has ${this.#tree.size}`;
    this.#report(this.#tree.size + 1, 'backup-restored', detail);
  }

  #storedRoot(size: number, note: string): Buffer | undefined {
    try {
      const { origin } = parseCheckpoint(parseNote(note).text);
      this.#origin = origin;
      const { checkpoint } = openCheckpoint(note, origin, { log: this.#keysOf(origin) });
      if (checkpoint.size === size) return Buffer.from(checkpoint.rootHash);
      this.#report(size, 'projection-edited', `the size beside the checkpoint is not its own, ${checkpoint.size}`);
    } catch (error) {
      if (!(error instanceof TransparencyError)) throw error;
      const unsigned = error.code === 'NOTE_UNSIGNED';
      const detail = unsigned ? 'no registered signer of checkpoints has signed it' : error.message;
      this.#report(size, unsigned ? 'signer-out-of-range' : 'signature-wrong', `a checkpoint of the log: ${detail}`);
    }
    return undefined;
  }

  #keysOf(origin: string): readonly NoteKey[] {
    const known = this.#keys.get(origin) ?? registeredNoteKeys(this.#context.registry, origin, 'stored');
    this.#keys.set(origin, known);
    return known;
  }

  /** Whether the log has that root at that size. Only the first that it has not is told. */
  #fits(size: number, root: Buffer, what: string, vouched: Agreement): boolean {
    if (this.#broken) return false;
    if (size <= this.#tree.size && this.#tree.root().equals(root)) return true;
    this.#broken = true;
    if (size > this.#tree.size) {
      const detail = `${what} is over ${size} entries; the log of checkpoints has ${this.#tree.size}`;
      this.#report(this.#tree.size + 1, 'backup-restored', detail);
      return false;
    }
    // Who rewrites a chain has to rewrite its entries: if no other has any since the last note that fits, it is that one.
    const { suspect } = vouched;
    if (suspect === undefined) {
      const detail = `entries are others than those under ${what}; since the last that fits: ${vouched.suspects}`;
      this.#report(vouched.size + 1, 'history-rewritten', detail);
      return false;
    }
    this.#named.add(suspect.chain);
    const detail = `the entries of this chain are others than those under ${what}`;
    this.#context.findings.add(suspect.chain, suspect.size + 1, 'history-rewritten', detail);
    return false;
  }

  #report(seq: number, name: Parameters<Findings['add']>[2], detail: string): void {
    this.#context.findings.add(LOG, seq, name, detail);
  }
}
