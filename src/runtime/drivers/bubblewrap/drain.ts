import { Socket } from 'node:net';
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises';

/** Reads are one after another and their bytes are used at once: one buffer serves all pipes of the process. */
const READ_BUFFER = Buffer.allocUnsafeSlow(65_536);
/** Of so many small pieces in a row what comes next has to wait: it then comes in one. Else a byte each would keep the service busy. */
const SMALL_BYTES = 4096;
const SMALL_PIECES = 32;
const REST_MS = 10;
/** ms without a byte after which a pipe whose writers have ended is empty. */
const QUIET_MS = 500;

export interface Drain {
  /** When every writer has closed its end, or none is read any more. Never rejects. */
  readonly ended: Promise<void>;
  /**
   * For a pipe of which every process that could write has ended: reads what is left. False when it still has a writer all
   * the same, such as a descriptor on its way through a socket, for which nobody waits.
   */
  settle(): Promise<boolean>;
}

/** Reads a pipe to its end and gives what comes, valid during the call only. Takes the descriptor over. */
export function drain(fd: number, onChunk: (chunk: Buffer) => void): Drain {
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  let reads = 0;
  let small = 0;
  let isOver = false;
  const socket = new Socket({
    fd,
    readable: true,
    writable: false,
    onread: {
      buffer: READ_BUFFER,
      callback: (bytes) => {
        onChunk(READ_BUFFER.subarray(0, bytes));
        reads += 1;
        small = bytes < SMALL_BYTES ? small + 1 : 0;
        if (small < SMALL_PIECES) return true;
        small = 0;
        setTimeout(() => socket.resume(), REST_MS);
        return false;
      },
    },
  });
  // An error in reading is an end like another: the process is waited for all the same.
  socket.once('error', () => socket.destroy());
  let atEnd = false;
  socket.once('end', () => {
    atEnd = true;
    socket.destroy();
  });
  socket.once('close', () => {
    isOver = true;
    resolve();
  });
  socket.resume();

  async function untilQuiet(): Promise<void> {
    for (let seen = -1; !isOver && seen !== reads; ) {
      seen = reads;
      await delay(QUIET_MS, undefined, { ref: false });
      // However late that was: pipes have been looked at since.
      await nextTurn();
    }
    socket.destroy();
  }

  return {
    ended,
    settle: async () => {
      await Promise.race([ended, untilQuiet()]);
      await ended;
      return atEnd;
    },
  };
}
