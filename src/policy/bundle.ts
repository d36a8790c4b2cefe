import { isUtf8 } from 'node:buffer';

import { canonicalBytes } from '../crypto/canonical-json.ts';
import { readBundleData } from './bundle-data.ts';
import { MAX_FILES, MAX_UNPACKED_BYTES, unpackTarball } from './bundle-tarball.ts';
import { PolicyInvalid } from './errors.ts';

export type JsonObject = { readonly [member: string]: unknown };

/** A policy in one form whatever it came in: paths relative and normal, text without BOM, data checked. */
export interface PolicyBundle {
  /** Rego text by path, without tests. */
  readonly modules: Readonly<Record<string, string>>;
  /** The `_test.rego` files; never part of the policy or its hash. */
  readonly tests: Readonly<Record<string, string>>;
  readonly data: JsonObject;
}

const MAX_PATH = 200;
/** Where the data of a bundle is put for its tests. */
const DATA_PATH = 'data.json';
const SEGMENT = /^(?!\.{1,2}$)[A-Za-z0-9._@+ -]+$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Reads the bundle of a request, `{ modules, data }` or `{ tarball }`. Throws PolicyInvalid saying what is wrong where. */
export async function parseBundle(bundle: unknown): Promise<PolicyBundle> {
  if (!isObject(bundle)) throw new PolicyInvalid('the bundle is not an object');
  const members = Object.keys(bundle).sort().join();
  if (members === 'tarball') return fromFiles(await unpackTarball(base64Bytes(bundle['tarball'])));
  if (members === 'data,modules' || members === 'modules') return fromModules(bundle['modules'], bundle['data'] ?? {});
  throw new PolicyInvalid('a bundle is either { modules, data } or { tarball }');
}

/** The same from the files of a directory, by path relative to it. */
export function bundleFromFiles(files: ReadonlyMap<string, Buffer>): PolicyBundle {
  return fromFiles(files);
}

function fromModules(modules: unknown, data: unknown): PolicyBundle {
  if (!isObject(modules)) throw problem('modules is not an object', '/bundle/modules');
  const paths = Object.keys(modules);
  if (paths.length > MAX_FILES) throw problem(`more than ${MAX_FILES} files`, '/bundle/modules');
  const files = new Map<string, Buffer>();
  let size = 0;
  for (const given of paths) {
    const pointer = `/bundle/modules/${given.replaceAll('~', '~0').replaceAll('/', '~1')}`;
    const text = modules[given];
    if (typeof text !== 'string') throw problem('a module is not a text', pointer);
    if (!text.isWellFormed()) throw problem('a module is not Unicode', pointer);
    const path = normalPath(given, pointer);
    if (!path.endsWith('.rego')) throw problem('a module has no name in .rego', pointer);
    if (files.has(path)) throw problem('two modules have the same path', pointer);
    const bytes = Buffer.from(text);
    size += bytes.length;
    if (size > MAX_UNPACKED_BYTES) throw problem('larger than 4 MiB', '/bundle/modules');
    files.set(path, bytes);
  }
  requireFilesApart(files);
  const { modules: policies, tests } = splitRego(files);
  return requireModules({ modules: policies, tests, data: checkedData(data, size) });
}

function fromFiles(files: ReadonlyMap<string, Buffer>): PolicyBundle {
  const normal = new Map<string, Buffer>();
  for (const [given, bytes] of files) {
    const path = normalPath(given);
    if (normal.has(path))
      throw new PolicyInvalid('two files have the same path', [{ file: path, detail: 'a second file of this path' }]);
    normal.set(path, bytes);
  }
  requireFilesApart(normal);
  const rego = new Map([...normal].filter(([path]) => path.endsWith('.rego')));
  const { modules, tests } = splitRego(rego);
  return requireModules({ modules, tests, data: checkedData(readBundleData(normal), 0) });
}

/** No file is a directory of another: together they could not be written anywhere. */
function requireFilesApart(files: ReadonlyMap<string, Buffer>): void {
  for (const path of files.keys()) {
    for (let end = path.indexOf('/'); end >= 0; end = path.indexOf('/', end + 1)) {
      const directory = path.slice(0, end);
      if (directory !== DATA_PATH && !files.has(directory)) continue;
      throw new PolicyInvalid(`${path}: inside a file`, [{ file: path, detail: `${directory} is a file` }]);
    }
  }
}

function splitRego(files: ReadonlyMap<string, Buffer>): Pick<PolicyBundle, 'modules' | 'tests'> {
  const modules: Record<string, string> = {};
  const tests: Record<string, string> = {};
  for (const [path, bytes] of files) (path.endsWith('_test.rego') ? tests : modules)[path] = regoText(path, bytes);
  return { modules, tests };
}

function regoText(file: string, bytes: Buffer): string {
  if (!isUtf8(bytes)) throw new PolicyInvalid('a module is not UTF-8', [{ file, detail: 'not UTF-8' }]);
  const text = bytes.toString('utf8');
  if (text.startsWith('\ufeff'))
    throw new PolicyInvalid('a module starts with a byte order mark', [
      { file, row: 1, column: 1, detail: 'starts with a byte order mark' },
    ]);
  if (text.includes('\0')) throw new PolicyInvalid('a module contains U+0000', [{ file, detail: 'contains U+0000' }]);
  return text;
}

function requireModules(bundle: PolicyBundle): PolicyBundle {
  if (Object.keys(bundle.modules).length === 0) throw new PolicyInvalid('the bundle has no .rego file');
  return bundle;
}

/** Data that has one canonical form: what the hash covers is what the policy will see. */
function checkedData(data: unknown, sizeSoFar: number): JsonObject {
  if (!isObject(data)) throw problem('data is not an object', '/bundle/data');
  let size: number;
  try {
    size = canonicalBytes(data).length;
  } catch (error) {
    throw problem(`data: ${error instanceof Error ? error.message : 'no canonical form'}`, '/bundle/data', error);
  }
  requireSafeNumbers(data, '/bundle/data');
  if (size + sizeSoFar > MAX_UNPACKED_BYTES) throw problem('larger than 4 MiB', '/bundle');
  return data;
}

// From 2^53 on neighbouring integers are one number to some readers and two to others (RFC 8785, 7493).
function requireSafeNumbers(value: unknown, pointer: string): void {
  if (typeof value === 'number' && Math.abs(value) > Number.MAX_SAFE_INTEGER) {
    throw problem('data: a number is beyond 2^53-1', pointer);
  }
  if (typeof value !== 'object' || value === null) return;
  for (const [name, member] of Object.entries(value)) {
    requireSafeNumbers(member, `${pointer}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`);
  }
}

/** Relative, `/` between plain names. A leading `/` or `./` is spelling; anything that climbs or hides is refused. */
function normalPath(given: string, pointer?: string): string {
  const path = given.replace(/^(?:\.?\/)+/, '');
  const isPlain = path.length <= MAX_PATH && path.split('/').every((segment) => SEGMENT.test(segment));
  if (isPlain && path !== '__proto__') return path;
  const detail = `not a usable path: ${JSON.stringify(given.slice(0, MAX_PATH))}`;
  throw new PolicyInvalid(detail, [pointer === undefined ? { detail } : { pointer, detail }]);
}

function base64Bytes(tarball: unknown): Buffer {
  // A lenient reader would let two spellings be the same bundle.
  if (typeof tarball !== 'string' || !BASE64.test(tarball)) throw problem('not base64', '/bundle/tarball');
  return Buffer.from(tarball, 'base64');
}

function problem(detail: string, pointer: string, cause?: unknown): PolicyInvalid {
  return new PolicyInvalid(detail, [{ pointer, detail }], cause);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
