/** What a client asks to reach. */
export interface Target {
  /** Lower case, without the dot at the end. */
  readonly host: string;
  readonly port: number;
}

/** Why what a client wrote names no host of the net. */
export type TargetProblem = 'BAD_TARGET' | 'IP_LITERAL';

/** Bytes of a name in DNS, and of one label. */
const MAX_NAME = 253;
const LABEL = /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/;
/** A last label that every address parser takes for a number: decimal, octal, hexadecimal, also nothing after `0x`. */
const NUMBER = /^(?:\d+|0x[0-9a-f]*)$/;
/** Without brackets, with or without a zone. */
const IPV6 = /^[0-9a-f.]*:[0-9a-f:.]*(?:%.*)?$/i;
const PORT = /^[1-9]\d{0,4}$/;

/**
 * A host name as the proxy compares it: ASCII, lower case, one dot at the end taken off. Nothing is decoded or mapped, so
 * what is compared is what is looked up. A name that some parser would take for an address is one (WHATWG URL §3.5).
 */
export function readName(text: string): string | TargetProblem {
  // Before the change of case, which makes some other letters ASCII: U+212A becomes k.
  if (/[^\x21-\x7e]/.test(text)) return 'BAD_TARGET';
  if (text.startsWith('[') || IPV6.test(text)) return 'IP_LITERAL';
  const name = text.toLowerCase().replace(/\.$/, '');
  const labels = name.split('.');
  if (NUMBER.test(labels.at(-1) ?? '')) return 'IP_LITERAL';
  return name.length <= MAX_NAME && labels.every((label) => LABEL.test(label)) ? name : 'BAD_TARGET';
}

/** `host:port` of a CONNECT or of a Host header; without a port it is `defaultPort`, when there is one. */
export function readAuthority(text: string, defaultPort: number | undefined): Target | TargetProblem {
  if (text.startsWith('[')) return 'IP_LITERAL';
  const colon = text.lastIndexOf(':');
  const [name, port] = colon === -1 ? [text, undefined] : [text.slice(0, colon), text.slice(colon + 1)];
  const host = readName(name);
  if (host === 'IP_LITERAL' || host === 'BAD_TARGET') return host;
  if (port === undefined) return defaultPort === undefined ? 'BAD_TARGET' : { host, port: defaultPort };
  return PORT.test(port) && Number(port) <= 65_535 ? { host, port: Number(port) } : 'BAD_TARGET';
}

/** The target of an absolute-form request (RFC 9112 §3.2.2) and its path; only http, without credentials. */
export function readAbsolute(url: string): { readonly target: Target; readonly path: string } | TargetProblem {
  const [, authority, rest] = /^http:\/\/([^/?#@\\]+)([/?][\x21-\x7e]*)?$/i.exec(url) ?? [];
  if (authority === undefined) return 'BAD_TARGET';
  const target = readAuthority(authority, 80);
  if (typeof target === 'string') return target;
  const path = rest ?? '/';
  return { target, path: path.startsWith('?') ? `/${path}` : path };
}

/** What was asked for, as far as it goes into a record: printable, not without end, of a URL only its authority. */
export function shownTarget(text: string): string {
  const authority = /^[a-z]+:\/\/([^/?#]*)/i.exec(text)?.[1] ?? text;
  return authority.replaceAll(/[^\x21-\x7e]/g, '?').slice(0, MAX_NAME);
}

export function sameTarget(a: Target, b: Target): boolean {
  return a.host === b.host && a.port === b.port;
}
