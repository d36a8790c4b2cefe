import type { IncomingMessage } from 'node:http';

/** Headers of which a second one is a way to be read in two ways. */
const ONCE = new Set(['host', 'content-length', 'transfer-encoding', 'proxy-authorization']);

/** Whether a head can be read in more than one way; the parser has refused most that can. */
export function headProblem({ rawHeaders, headers }: IncomingMessage): boolean {
  const names = rawHeaders.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase());
  const seen = new Set<string>();
  for (const name of names) {
    if (ONCE.has(name) && seen.has(name)) return true;
    seen.add(name);
  }
  const length = headers['content-length'];
  const coding = headers['transfer-encoding'];
  if (length !== undefined && (coding !== undefined || !/^\d{1,15}$/.test(length))) return true;
  return coding !== undefined && coding.toLowerCase() !== 'chunked';
}
