import { constants, openSync } from 'node:fs';
import { type Logger, pino } from 'pino';

export type { Logger } from 'pino';

/** Bytes that may wait for a reader of stderr; past them lines are dropped: the audit log is what must not lose any. */
const MAX_WAITING = 8 * 1024 * 1024;
/** Bytes that wait for others, and for how long. */
const BUFFERED = 4096;
const FLUSH_MS = 100;
/** Attempts, 100 ms apart, to hand lines to a reader that takes none; the next line begins them anew. */
const ATTEMPTS = 20;

/** JSON lines on stderr. Serializers name what may be shown: a list of what to hide is never complete. */
export function createLogger(level: string): Logger {
  return pino(
    {
      level,
      base: { service: 'castellan' },
      timestamp: pino.stdTimeFunctions.isoTime,
      serializers: { err: errorFields, req: requestFields, res: responseFields },
    },
    openDestination(),
  );
}

/** A pipe that nobody reads must neither stop the service nor keep it from ending. */
function openDestination() {
  let failed = 0;
  const destination = pino.destination({
    dest: stderrOfOurOwn(),
    sync: false,
    // A system call for every few lines; the last ones of a process that is killed may be lost with it.
    minLength: BUFFERED,
    periodicFlush: FLUSH_MS,
    maxLength: MAX_WAITING,
    retryEAGAIN: () => {
      failed = (failed + 1) % ATTEMPTS;
      return failed !== 0;
    },
  });
  // What waits stays in line. Unheard, the event would end the process.
  destination.on('error', () => undefined);
  // Before pino's own flush, which would turn a reader that takes nothing into a failed exit.
  process.prependOnceListener('exit', () => {
    try {
      destination.flushSync();
    } catch {
      // There is no one left to tell.
    }
    destination.destroy();
  });
  return destination;
}

/**
 * A description of stderr that does not block, and is not shared: the mode of fd 2 itself belongs to whoever started us. A
 * blocked write(2) would hold a thread that the process waits for when it ends.
 */
function stderrOfOurOwn(): number {
  try {
    return openSync('/proc/self/fd/2', constants.O_WRONLY | constants.O_APPEND | constants.O_NONBLOCK);
  } catch {
    // Not Linux, or a socket, which cannot be opened again.
    return 2;
  }
}

function requestFields(request: { id?: unknown; method?: unknown; routeOptions?: { url?: unknown } }) {
  // The route's pattern, not the URL: what a caller typed into a path or query is not ours to keep.
  return { id: request.id, method: request.method, route: request.routeOptions?.url };
}

function responseFields(reply: { statusCode?: unknown }) {
  return { statusCode: reply.statusCode };
}

/** Name, code, message and stack; no other member of the error, which could hold a query's values or a key. */
function errorFields(error: unknown): object {
  if (!(error instanceof Error)) return { type: typeof error };
  const code = 'code' in error ? String(error.code) : undefined;
  const cause = error.cause instanceof Error ? errorFields(error.cause) : undefined;
  return { type: error.name, code, message: error.message, stack: error.stack, cause };
}
