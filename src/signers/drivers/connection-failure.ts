/** System errors of a connection that another attempt may not meet. TLS errors (a wrong certificate) are not among them. */
const CODES: ReadonlySet<string> = new Set([
  'EAI_AGAIN',
  'ECONNABORTED',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EPIPE',
  'ETIMEDOUT',
]);

/** The code of an error that means: the connection failed, not the request; else undefined. */
export function connectionFailure(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && CODES.has(error.code)
    ? error.code
    : undefined;
}
