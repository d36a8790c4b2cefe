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
    const canonical = isPlainly(text, value) || serialise(value, 0) === text;
    return canonical ? { value } : undefined;
  } catch {
    return undefined; // not UTF-8, not JSON, too deep, or no canonical form: all the same answer
  }
}

/**
 * Whether `text` is canonical, as far as that can be told in the quick way: the engine writes the value in just these
 * characters, which settles spelling, and all names are in order. An escaped surrogate may be a lone one: that takes the
 * other way, and so does whatever is not true here.
 */
function isPlainly(text: string, value: unknown): boolean {
  return !text.includes('\\ud') && JSON.stringify(value) === text && isInOrder(value, 0);
}

/** Whether the names of each object are ascending, in the order in which they were written. Throws RangeError when too deep. */
function isInOrder(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  if (depth > MAX_DEPTH) throw new RangeError('too deep');
  if (Array.isArray(value)) return value.every((item) => isInOrder(item, depth + 1));
  let last: string | undefined;
  for (const [name, item] of Object.entries(value)) {
    if ((last !== undefined && name <= last) || !isInOrder(item, depth + 1)) return false;
    last = name;
  }
  return true;
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
