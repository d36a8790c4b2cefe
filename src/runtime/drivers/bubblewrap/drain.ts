import { Socket } from 'node:net';

/** Reads are one after another and their bytes are used at once: one buffer serves all pipes of the process. */
const READ_BUFFER = Buffer.allocUnsafeSlow(65_536);

export interface Drain {
  /** When every writer has closed its end. Never rejects. */
  readonly ended: Promise<void>;
}

/** Reads a pipe to its end and gives what comes, valid during the call only. Takes the descriptor over. */
export function drain(fd: number, onChunk: (chunk: Buffer) => void): Drain {
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  const socket = new Socket({
    fd,
    readable: true,
    writable: false,
    onread: {
      buffer: READ_BUFFER,
      callback: (bytes) => {
        onChunk(READ_BUFFER.subarray(0, bytes));
        return true;
      },
    },
  });
  // An error in reading is an end like another: the process is waited for all the same.
  socket.once('error', () => socket.destroy());
  socket.once('end', () => socket.destroy());
  socket.once('close', () => resolve());
  socket.resume();
  return { ended };
}
