import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';

import { type Destination, linesOf } from './destination.ts';
import { StreamError } from './errors.ts';
import { syncDirectory } from './state.ts';

/** Bytes; longer than any line of ours. */
const LONGEST_LINE = 1_048_576;
const LINE_FEED = 0x0a;

/**
 * Appends lines to a file, on the disk before it counts as delivered. The file is opened anew for each batch, so that it may
 * be moved away. A line that a crash has cut is taken off first: its event was not recorded as delivered and comes again.
 */
export function fileDestination(path: string): Destination {
  let mended = false;
  return {
    deliver: async (items) => {
      try {
        const file = await open(path, 'a+', 0o600);
        try {
          if (!mended) await takeOffCutLine(file, path);
          mended = true;
          await file.appendFile(linesOf(items));
          await file.sync();
        } finally {
          await file.close();
        }
        await syncDirectory(dirname(path));
      } catch (cause) {
        if (cause instanceof StreamError) throw cause;
        throw new StreamError('UNDELIVERED', `${path} cannot be written`, cause);
      }
    },
  };
}

async function takeOffCutLine(file: FileHandle, path: string): Promise<void> {
  const stats = await file.stat();
  // A pipe or a device has nothing behind it to look at.
  if (!stats.isFile() || stats.size === 0) return;
  const length = Math.min(stats.size, LONGEST_LINE);
  const { buffer } = await file.read(Buffer.alloc(length), 0, length, stats.size - length);
  if (buffer.at(-1) === LINE_FEED) return;
  const cut = buffer.subarray(buffer.lastIndexOf(LINE_FEED) + 1);
  if (cut.length === LONGEST_LINE || cut[0] !== 0x7b) {
    throw new StreamError('UNDELIVERED', `${path} does not end like a file of events: nothing is written into it`);
  }
  await file.truncate(stats.size - cut.length);
}
