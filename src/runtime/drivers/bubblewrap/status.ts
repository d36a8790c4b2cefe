import type { Readable } from 'node:stream';

/** More than bwrap ever says; what comes after it is not looked at. */
const MAX_STATUS_CHARS = 16_384;
/** ms for a pipe to end whose processes have. */
const CLOSED_MS = 500;
/** What the first process inside says right before the command. */
export const STARTED_LINE = '{ "started": true }';

/** What is heard on the status pipe of a chain. */
export interface ChainStatus {
  /** Process id, on this machine, of the first process inside; undefined: there never was one. */
  readonly firstProcess: Promise<number | undefined>;
  /** Whether the command itself has been started; false once that can no longer be. */
  readonly started: Promise<boolean>;
  /** The same when nothing is left that could say so. */
  settle(): Promise<boolean>;
}

/**
 * Reads it. bwrap names the first process before that may do anything; later claims are not believed, for until `started`
 * that process has the descriptor too, and libraries of the caller's choice may be loaded into it.
 */
export function readStatus(pipe: Readable): ChainStatus {
  const firstProcess = Promise.withResolvers<number | undefined>();
  const started = Promise.withResolvers<boolean>();
  let seen = 0;
  let rest = '';
  pipe.setEncoding('utf8');
  pipe.on('data', (text: string) => {
    seen += text.length;
    if (seen > MAX_STATUS_CHARS) return;
    const lines = `${rest}${text}`.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const child = /"child-pid": (\d{1,10})\b/.exec(line)?.[1];
      if (child !== undefined) firstProcess.resolve(Number(child));
      // Not bwrap's word on how that process ended: it may have gone no further than the relay.
      if (line === STARTED_LINE) started.resolve(true);
    }
  });
  const end = () => {
    firstProcess.resolve(undefined);
    started.resolve(false);
  };
  pipe.once('close', end);
  pipe.once('error', end);
  return {
    firstProcess: firstProcess.promise,
    started: started.promise,
    settle: async () => {
      // Its end comes at once, unless a descriptor of it was sent on through a socket that nobody reads.
      const late = setTimeout(() => setImmediate(() => pipe.destroy()), CLOSED_MS);
      const isStarted = await started.promise;
      clearTimeout(late);
      return isStarted;
    },
  };
}
