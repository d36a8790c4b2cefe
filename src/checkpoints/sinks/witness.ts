import { formatSignatureLine } from '../../transparency/note.ts';
import type { NoteKey } from '../../transparency/note-key.ts';
import { formatAddCheckpoint, readWitnessReply, type WitnessAnswer } from '../../transparency/witness.ts';
import { CheckpointError } from '../errors.ts';
import type { StoredNote } from '../store.ts';
import { exchange } from './exchange.ts';
import type { Sink } from './sink.ts';

export interface WitnessConfig {
  /** The prefix before /add-checkpoint. */
  readonly url: string;
  readonly key: NoteKey;
}

export interface WitnessParts {
  /** The proof between two sizes of the log. */
  consistency(from: number, to: number): Promise<readonly Uint8Array[]>;
  /** Told the signature lines to be put behind a note. */
  cosigned(note: StoredNote, lines: string): Promise<void>;
}

/** A C2SP witness: it has seen the log grow, and signs only what goes on from there. */
export function witnessSink({ url, key }: WitnessConfig, { consistency, cosigned }: WitnessParts): Sink {
  let lastSize = 0;

  async function ask(note: StoredNote, oldSize: number, signal: AbortSignal): Promise<WitnessAnswer> {
    const proof = oldSize === 0 ? [] : await consistency(oldSize, note.size);
    const own = ownNote(note.note);
    const body = formatAddCheckpoint({ oldSize, proof, note: own });
    const headers = { 'content-type': 'text/plain; charset=utf-8' };
    const reply = await exchange(
      `${url.replace(/\/+$/, '')}/add-checkpoint`,
      { method: 'POST', headers, body },
      signal,
    );
    return readWitnessReply(reply, own, [key]);
  }

  return {
    name: `witness:${key.name}`,
    deliver: async (note, signal) => {
      let answer = await ask(note, Math.min(lastSize, note.size), signal);
      if (answer.kind === 'conflict') {
        if (answer.size > note.size) throw failed('has seen a log with more entries');
        answer = await ask(note, answer.size, signal);
      }
      if (answer.kind === 'refused') throw failed(`refused: ${answer.why}`);
      if (answer.kind !== 'cosigned')
        throw failed(answer.kind === 'unavailable' ? `answered ${answer.status}` : 'is busy');
      lastSize = note.size;
      const lines = answer.cosignatures.map(({ line }) => formatSignatureLine(line)).join('');
      await cosigned(note, lines);
    },
  };

  function failed(why: string): CheckpointError {
    return new CheckpointError('SINK_FAILED', `the witness ${key.name} ${why}`);
  }
}

/** Without the lines of other witnesses: text, an empty line, and the log's own line. */
function ownNote(note: string): string {
  const end = note.indexOf('\n', note.indexOf('\n\n') + 2);
  return note.slice(0, end + 1);
}
