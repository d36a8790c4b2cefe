import { type Logger, pino } from 'pino';

export type { Logger } from 'pino';

/** JSON lines on stderr. Serializers name what may be shown: a list of what to hide is never complete. */
export function createLogger(level: string): Logger {
  return pino(
    {
      level,
      base: { service: 'castellan' },
      timestamp: pino.stdTimeFunctions.isoTime,
      serializers: { err: errorFields, req: requestFields, res: responseFields },
    },
    pino.destination({ dest: 2, sync: false }),
  );
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
