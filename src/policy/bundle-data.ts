import { isUtf8 } from 'node:buffer';
import { basename, dirname } from 'node:path/posix';
import { isScalar, parseDocument, visit, type YAMLMap } from 'yaml';

import { parseStrictJson } from '../http/strict-json.ts';
import { PolicyInvalid } from './errors.ts';

const DATA_FILES = ['data.json', 'data.yaml', 'data.yml'];
/** YAML is read on the thread that serves everybody, at about a MiB per second; JSON is for more. */
const MAX_YAML_BYTES = 65_536;
/** All YAML of one bundle together, for the same reason. */
const MAX_YAML_BYTES_IN_ALL = 4 * MAX_YAML_BYTES;

/**
 * The data of a bundle's files: each data.json or data.yaml under the path of its directory, merged as OPA merges them.
 * Throws PolicyInvalid for values at the same place and for whatever two readers could read differently.
 */
export function readBundleData(files: ReadonlyMap<string, Buffer>): Record<string, unknown> {
  const merged: Record<string, unknown> = {};
  let yamlBytes = 0;
  for (const [path, bytes] of [...files].sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (!DATA_FILES.includes(basename(path))) continue;
    const isJson = path.endsWith('.json');
    if (!isJson) yamlBytes += bytes.length;
    if (!isJson && bytes.length > MAX_YAML_BYTES)
      throw invalid(path, 'a YAML file is larger than 64 KiB; a data.json may be more');
    if (yamlBytes > MAX_YAML_BYTES_IN_ALL) throw invalid(path, 'more than 256 KiB of YAML; JSON may be more');
    const value = isJson ? fromJson(path, bytes) : fromYaml(path, bytes);
    const directory = dirname(path);
    const segments = directory === '.' ? [] : directory.split('/');
    mergeInto(
      merged,
      segments.reduceRight((inner: unknown, name) => ({ [name]: inner }), value),
      path,
    );
  }
  return merged;
}

function mergeInto(target: Record<string, unknown>, source: unknown, file: string): void {
  if (!isObject(source)) throw invalid(file, 'the data of a bundle is an object');
  for (const [name, value] of Object.entries(source)) {
    if (name === '__proto__') throw invalid(file, 'a member named __proto__ is refused');
    const present = Object.hasOwn(target, name) ? target[name] : undefined;
    if (present === undefined) target[name] = value;
    else if (isObject(present) && isObject(value)) mergeInto(present, value, file);
    else throw invalid(file, `another file has data at ${JSON.stringify(name)} already`);
  }
}

function fromJson(file: string, bytes: Buffer): unknown {
  try {
    return parseStrictJson(bytes);
  } catch (error) {
    throw invalid(file, error instanceof Error ? error.message : 'not JSON');
  }
}

function fromYaml(file: string, bytes: Buffer): unknown {
  if (!isUtf8(bytes)) throw invalid(file, 'not UTF-8');
  const text = bytes.toString('utf8');
  if (text.startsWith('\ufeff')) throw invalid(file, 'starts with a byte order mark');
  // The parser's own search for duplicates compares each name with all before it; the one below does not.
  const document = parseDocument(text, { schema: 'core', uniqueKeys: false, merge: false, intAsBigInt: true });
  const [first] = [...document.errors, ...document.warnings];
  if (first !== undefined) {
    const { line, col } = first.linePos?.[0] ?? { line: 1, col: 1 };
    throw new PolicyInvalid(`${file}: not usable YAML`, [
      { file, row: line, column: col, detail: first.message.split('\n')[0] ?? 'not YAML' },
    ]);
  }
  // Aliases can make a few bytes into gigabytes, tags can be anything: data is plain.
  visit(document, {
    Alias: () => {
      throw invalid(file, 'aliases are refused');
    },
    Node: (_key, node) => {
      if (isScalar(node) && typeof node.value === 'bigint') node.value = exactNumber(node.value, file);
      if (node.tag !== undefined && !node.tag.startsWith('tag:yaml.org,2002:')) throw invalid(file, 'tags are refused');
    },
    Map: (_key, node) => requireNames(node, file),
  });
  return document.toJS({ maxAliasCount: 0 });
}

function requireNames(map: YAMLMap, file: string): void {
  const names = new Set<string>();
  for (const { key } of map.items) {
    if (!isScalar(key) || typeof key.value !== 'string') throw invalid(file, 'a member name is not a string');
    if (names.has(key.value)) throw invalid(file, `a second member named ${JSON.stringify(key.value.slice(0, 200))}`);
    names.add(key.value);
  }
}

function exactNumber(value: bigint, file: string): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw invalid(file, 'a number is beyond 2^53-1');
  return number;
}

function invalid(file: string, detail: string): PolicyInvalid {
  return new PolicyInvalid(`${file}: ${detail}`, [{ file, detail }]);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
