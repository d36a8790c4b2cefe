import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http';

/** Of one connection only (RFC 9110 §7.6.1), or for the proxy. Host and framing are written anew. */
const NOT_PASSED = new Set([
  'connection',
  'expect',
  'host',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);
const BODILESS = new Set(['GET', 'HEAD', 'OPTIONS', 'DELETE']);

/** Headers for the other side; of a name that comes several times every value. */
export function passedHeaders({ rawHeaders, headers }: IncomingMessage): OutgoingHttpHeaders {
  const dropped = new Set(NOT_PASSED);
  for (const name of (headers.connection ?? '').split(',')) dropped.add(name.trim().toLowerCase());
  // Framing is nobody's to drop, and one length and one coding are two framings.
  if (headers['transfer-encoding'] === undefined) dropped.delete('content-length');
  else dropped.add('content-length');
  const passed = new Map<string, string[]>();
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = (rawHeaders[index] ?? '').toLowerCase();
    if (!dropped.has(name)) passed.set(name, [...(passed.get(name) ?? []), rawHeaders[index + 1] ?? '']);
  }
  return Object.fromEntries([...passed].map(([name, values]) => [name, values.length === 1 ? values[0] : values]));
}

/** How the body of a request is framed: as it was, and where there is none it says so. */
export function requestFraming({ method = '', headers }: IncomingMessage): OutgoingHttpHeaders {
  if (headers['transfer-encoding'] !== undefined) return { 'transfer-encoding': 'chunked' };
  return headers['content-length'] === undefined && !BODILESS.has(method) ? { 'content-length': '0' } : {};
}
