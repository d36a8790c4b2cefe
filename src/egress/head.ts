import type { IncomingMessage } from 'node:http';

/** Headers of which a second one would be a second reading. */
const ONCE = ['host', 'content-length', 'transfer-encoding', 'proxy-authorization'];

/** Whether a head says one thing to everybody; the parser has refused most of those that do not. */
export function hasOneReading({ rawHeaders, headers }: IncomingMessage): boolean {
  const names = rawHeaders.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase());
  if (ONCE.some((once) => names.filter((name) => name === once).length > 1)) return false;
  const length = headers['content-length'];
  const coding = headers['transfer-encoding'];
  if (length !== undefined && (coding !== undefined || !/^\d{1,15}$/.test(length))) return false;
  return coding === undefined || coding.toLowerCase() === 'chunked';
}

/** About the bytes of a head; what leaves in headers leaves as well. */
export function headBytes({ rawHeaders, url }: IncomingMessage): number {
  return rawHeaders.reduce((sum, text) => sum + text.length + 2, (url ?? '').length);
}
