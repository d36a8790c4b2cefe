/** The writer's bound; deeper is no event of ours, and the recursion below stays on the stack. */
const MAX_DEPTH = 64;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Parses bytes that must be the RFC 8785 form of their own value; undefined if they are not. Written apart from the
 * writer's canonicaliser on purpose: a fault in that one must not hide itself here.
 */
export function parseCanonical(bytes: Uint8Array): { value: unknown } | undefined {
  try {
    const text = utf8.decode(bytes);
    const value: unknown = JSON.parse(text);
    return serialise(value, 0) === text ? { value } : undefined;
  } catch {
    return undefined; // not UTF-8, not JSON, too deep, or no canonical form: all the same answer
  }
}

/** The RFC 8785 form of a value. Throws RangeError for what has none. */
export function canonicalText(value: unknown): string {
  return serialise(value, 0);
}

function serialise(value: unknown, depth: number): string {
  if (depth > MAX_DEPTH) throw new RangeError('too deep');
  if (typeof value === 'string') {
    if (!value.isWellFormed()) throw new RangeError('lone surrogate');
    return JSON.stringify(value);
  }
  if (Array.isArray(value)) return `[${value.map((item) => serialise(item, depth + 1)).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    // `<` on strings compares UTF-16 code units, the order of RFC 8785 §3.2.3.
    const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${members.map(([name, item]) => `${serialise(name, depth)}:${serialise(item, depth + 1)}`).join(',')}}`;
  }
  // JSON.parse gives -0 for "-0" and Infinity for "1e999"; their texts differ from the input, which is the point.
  return String(value);
}
