import { StringDecoder } from 'node:string_decoder';

import type { Stream } from '../../runtime/isolation.ts';

/** Bytes of output a second that are kept of one agent, and how much may come at once; what is beyond is counted. */
const RATE = 65_536;
const BURST = 262_144;
/** Of one piece, and how many may wait for the next write. */
const PIECE_BYTES = 16_384;
const MAX_PIECES = 64;
const MAX_DECODERS = 1024;

/** A piece of output as it came: whole lines, parts of one, or many. */
export interface Piece {
  /** Epoch ms of its beginning. */
  readonly at: number;
  readonly launchId: string;
  readonly replica: string;
  readonly stream: Stream;
  text: string;
}

/** Output of one agent that waits to be written. */
export interface AgentBuffer {
  take(launchId: string, replica: string, stream: Stream, chunk: Buffer): void;
  /** What waits, which is then the caller's; and how many bytes were left out since the last time. */
  drain(): { readonly pieces: readonly Piece[]; readonly dropped: number };
  readonly isEmpty: boolean;
}

/** `now`: monotonic ms; `clock`: epoch ms. */
export function createAgentBuffer({ now, clock }: { now: () => number; clock: () => number }): AgentBuffer {
  const decoders = new Map<string, StringDecoder>();
  let pieces: Piece[] = [];
  let dropped = 0;
  let tokens = BURST;
  let filledAt = now();

  function allowed(bytes: number): number {
    const at = now();
    tokens = Math.min(BURST, tokens + ((at - filledAt) / 1000) * RATE);
    filledAt = at;
    const given = Math.min(bytes, Math.floor(tokens));
    tokens -= given;
    return given;
  }

  function place(launchId: string, replica: string, stream: Stream): Piece | undefined {
    const fits = (piece: Piece | undefined) =>
      piece?.launchId === launchId && piece.stream === stream && piece.text.length < PIECE_BYTES;
    const last = pieces.at(-1);
    if (fits(last)) return last;
    // So many turns between streams that their order is given up, rather than what they say.
    if (pieces.length >= MAX_PIECES) return pieces.findLast(fits);
    const piece: Piece = { at: clock(), launchId, replica, stream, text: '' };
    pieces.push(piece);
    return piece;
  }

  return {
    take: (launchId, replica, stream, chunk) => {
      const given = allowed(chunk.length);
      dropped += chunk.length - given;
      const key = `${launchId} ${stream}`;
      const decoder = decoders.get(key) ?? new StringDecoder('utf8');
      decoders.set(key, decoder);
      for (let from = 0; from < given; from += PIECE_BYTES) {
        const part = chunk.subarray(from, Math.min(given, from + PIECE_BYTES));
        const piece = place(launchId, replica, stream);
        if (piece === undefined) dropped += part.length;
        // The database keeps no NUL.
        else piece.text += decoder.write(part).replaceAll('\0', '\uFFFD');
      }
    },
    drain: () => {
      const taken = { pieces: pieces.filter(({ text }) => text !== ''), dropped };
      pieces = [];
      dropped = 0;
      // Of launches long ended; a character that one of them had begun is lost.
      if (decoders.size > MAX_DECODERS) decoders.clear();
      return taken;
    },
    get isEmpty() {
      return pieces.length === 0 && dropped === 0;
    },
  };
}
