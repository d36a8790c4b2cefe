import { execFile } from 'node:child_process';
import { closeSync, constants, openSync } from 'node:fs';
import { unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { codeOf } from './cgroups/files.ts';

const run = promisify(execFile);

/** One process makes so many: a process each would cost every command 2 ms. */
const BATCH = 16;

/** Both ends of one FIFO. What Node makes itself are socket pairs: `echo > /dev/stderr` fails in them. */
export interface Fifo {
  readonly readFd: number;
  readonly writeFd: number;
  /** For the next, once both ends are closed everywhere: nothing stays in a FIFO that nobody has open. */
  giveBack(): void;
  /** Instead, when somebody may have it open yet: it is nobody's any more. */
  discard(): Promise<void>;
}

export interface Fifos {
  /** Two, or none when there is no descriptor left for the second. */
  takePair(): Promise<readonly [Fifo, Fifo]>;
}

/** FIFOs of `dir`, which only the service may list. The slots may write to them, by the descriptors they are given. */
export function createFifos(mkfifo: string, dir: string): Fifos {
  const free: string[] = [];
  let made = 0;
  let making: Promise<void> | undefined;

  async function make(): Promise<void> {
    const paths = Array.from({ length: BATCH }, (_, index) => join(dir, `${made + index}`));
    made += BATCH;
    await run(mkfifo, ['-m', '622', ...paths], { cwd: '/', env: {} });
    free.push(...paths);
  }

  async function takePath(): Promise<string> {
    for (;;) {
      const path = free.pop();
      if (path !== undefined) return path;
      making ??= make().finally(() => {
        making = undefined;
      });
      await making;
    }
  }

  async function open(): Promise<Fifo> {
    for (;;) {
      const path = await takePath();
      try {
        return { ...bothEnds(path), giveBack: () => void free.push(path), discard: () => unlink(path) };
      } catch (error) {
        if (codeOf(error) !== 'EACCES') {
          free.push(path);
          throw error;
        }
        // Without a user of its own what is isolated owns what it writes to, and has closed this one to everybody.
        await unlink(path);
      }
    }
  }

  return {
    takePair: async () => {
      const first = await open();
      try {
        return [first, await open()];
      } catch (error) {
        closeSync(first.readFd);
        closeSync(first.writeFd);
        first.giveBack();
        throw error;
      }
    },
  };
}

/**
 * Without a wait: a reader that need not have a writer, then a writer that has its reader. Hence at once: by the pool of
 * threads it takes ten times as long.
 */
function bothEnds(path: string): Pick<Fifo, 'readFd' | 'writeFd'> {
  const readFd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    return { readFd, writeFd: openSync(path, constants.O_WRONLY) };
  } catch (error) {
    closeSync(readFd);
    throw error;
  }
}
