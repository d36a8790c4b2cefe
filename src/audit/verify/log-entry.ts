import { parseCanonical } from './canonical.ts';

const MEMBERS = ['chain', 'root', 'size', 'v'];
const HASH_BYTES = 32;

/** An entry of the log of checkpoints: the root of a chain's tree at a size. */
export interface LogEntry {
  readonly chain: string;
  readonly size: number;
  readonly root: Buffer;
}

/** The entry in these bytes, or why they are none. */
export function parseLogEntry(bytes: Uint8Array): LogEntry | string {
  const parsed = parseCanonical(bytes);
  if (parsed === undefined) return 'the entry is not canonical JSON (RFC 8785)';
  const { value } = parsed;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'the entry is no object';
  const members = new Map<string, unknown>(Object.entries(value));
  if (members.size !== MEMBERS.length || !MEMBERS.every((name) => members.has(name)) || members.get('v') !== 1) {
    return 'the entry does not have the members of version 1';
  }
  const [chain, size, root] = [members.get('chain'), members.get('size'), members.get('root')];
  if (typeof chain !== 'string' || chain === '') return 'the entry names no chain';
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 1) return 'the entry has no size';
  const hash = typeof root === 'string' ? Buffer.from(root, 'base64') : undefined;
  if (hash?.length !== HASH_BYTES || hash.toString('base64') !== root) return 'the entry has no root';
  return { chain, size, root: hash };
}
