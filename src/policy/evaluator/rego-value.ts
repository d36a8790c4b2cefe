/**
 * A Rego value as the wasm runtime prints it (opa_value_dump): JSON plus sets, with numbers kept as their text, because
 * 1 and 1.0 print differently and integers may be larger than a double holds.
 */
export type RegoValue =
  | { type: 'null' }
  | { type: 'boolean'; value: boolean }
  | { type: 'number'; text: string }
  | { type: 'string'; value: string }
  | { type: 'array'; items: RegoValue[] }
  | { type: 'object'; entries: [RegoValue, RegoValue][] }
  | { type: 'set'; items: RegoValue[] };

const RANK = { null: 0, boolean: 1, number: 2, string: 3, array: 4, object: 5, set: 6 } as const;

const NUMBER = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const STRING = /"(?:[^"\\]|\\.)*"/y;

/** Parses the text of opa_value_dump; throws a SyntaxError on anything else. */
export function parseRegoValue(text: string): RegoValue {
  let at = 0;
  const value = read();
  if (at !== text.length) throw new SyntaxError('text after the value');
  return value;

  function read(): RegoValue {
    switch (text[at]) {
      case 'n':
        return word('null', { type: 'null' });
      case 't':
        return word('true', { type: 'boolean', value: true });
      case 'f':
        return word('false', { type: 'boolean', value: false });
      case 's':
        return word('set()', { type: 'set', items: [] });
      case '"':
        return { type: 'string', value: readString() };
      case '[':
        return { type: 'array', items: readList(']') };
      case '{':
        return readBraces();
      default:
        return { type: 'number', text: match(NUMBER) };
    }
  }

  function word(expected: string, result: RegoValue): RegoValue {
    if (!text.startsWith(expected, at)) throw new SyntaxError(`unexpected text at ${at}`);
    at += expected.length;
    return result;
  }

  function match(pattern: RegExp): string {
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    if (found === null) throw new SyntaxError(`unexpected text at ${at}`);
    at = pattern.lastIndex;
    return found[0];
  }

  function readString(): string {
    const value: unknown = JSON.parse(match(STRING));
    if (typeof value !== 'string') throw new SyntaxError('not a string');
    return value;
  }

  function readList(close: string): RegoValue[] {
    const items: RegoValue[] = [];
    at += 1;
    while (text[at] !== close) {
      if (items.length > 0) word(',', { type: 'null' });
      items.push(read());
    }
    at += 1;
    return items;
  }

  function readBraces(): RegoValue {
    at += 1;
    const entries: [RegoValue, RegoValue][] = [];
    const items: RegoValue[] = [];
    while (text[at] !== '}') {
      if (entries.length + items.length > 0) word(',', { type: 'null' });
      const first = read();
      if (text[at] === ':') {
        at += 1;
        entries.push([first, read()]);
      } else {
        items.push(first);
      }
    }
    at += 1;
    if (entries.length > 0 && items.length > 0) throw new SyntaxError('neither an object nor a set');
    return items.length > 0 ? { type: 'set', items } : { type: 'object', entries };
  }
}

/** OPA's total order: null < boolean < number < string (by code point) < array < object < set. */
export function compareRegoValues(a: RegoValue, b: RegoValue): number {
  if (a.type === 'boolean' && b.type === 'boolean') return Number(a.value) - Number(b.value);
  if (a.type === 'number' && b.type === 'number') return compareNumbers(a.text, b.text);
  if (a.type === 'string' && b.type === 'string') return compareText(a.value, b.value);
  if (a.type === 'array' && b.type === 'array') return compareLists(a.items, b.items);
  if (a.type === 'set' && b.type === 'set') return compareLists(sortedItems(a.items), sortedItems(b.items));
  if (a.type === 'object' && b.type === 'object') return compareObjects(a.entries, b.entries);
  return RANK[a.type] - RANK[b.type];
}

/** The items of a set in OPA's order; the wasm runtime prints them in hash order. */
export function sortedItems(items: readonly RegoValue[]): RegoValue[] {
  return [...items].sort(compareRegoValues);
}

/** The members of an object in the order of their keys. */
export function sortedEntries(entries: readonly [RegoValue, RegoValue][]): [RegoValue, RegoValue][] {
  return [...entries].sort((a, b) => compareRegoValues(a[0], b[0]));
}

/** Compares by code point, as Go's byte order does; JavaScript's own order is by UTF-16 unit. */
export function compareText(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function compareNumbers(a: string, b: string): number {
  const difference = Number(a) - Number(b);
  if (difference !== 0 || !/^-?\d+$/.test(a) || !/^-?\d+$/.test(b)) return Math.sign(difference);
  const left = BigInt(a);
  const right = BigInt(b);
  return left < right ? -1 : Number(left > right);
}

function compareLists(a: readonly RegoValue[], b: readonly RegoValue[]): number {
  for (const [index, left] of a.entries()) {
    const right = b[index];
    if (right === undefined) return 1;
    const order = compareRegoValues(left, right);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

function compareObjects(a: readonly [RegoValue, RegoValue][], b: readonly [RegoValue, RegoValue][]): number {
  const right = sortedEntries(b);
  for (const [index, [key, value]] of sortedEntries(a).entries()) {
    const other = right[index];
    if (other === undefined) return 1;
    const order = compareRegoValues(key, other[0]) || compareRegoValues(value, other[1]);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}
