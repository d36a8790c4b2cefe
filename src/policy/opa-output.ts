import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { extract } from 'tar-stream';

import { type BundleProblem, PolicyInvalid } from './errors.ts';
import type { OpaResult } from './opa-process.ts';
import type { Namespaces } from './package-rules.ts';

/** Problems told of one bundle, and characters of each. */
const MAX_PROBLEMS = 20;
const MAX_DETAIL = 500;
const MAX_WASM_BYTES = 32 * 1_048_576;
const WASM_ENTRY = 'policy.wasm';

export interface PolicyTestResult {
  readonly package: string;
  readonly name: string;
  readonly passed: boolean;
}

/** The errors OPA wrote, with file, row and column (from 1); never empty. */
export function problemsOf({ stdout, stderr }: OpaResult): BundleProblem[] {
  const report = parseReport(stdout) ?? parseReport(stderr);
  const errors = report === undefined ? undefined : report['errors'];
  const problems = Array.isArray(errors) ? errors.slice(0, MAX_PROBLEMS).map(problemOf) : [];
  if (problems.length > 0) return problems;
  const firstLine = `${stderr}\n${stdout}`.trim().split('\n')[0] ?? '';
  return [{ detail: clip(firstLine) || 'OPA refused the policy without a reason' }];
}

function problemOf(error: unknown): BundleProblem {
  const { message, location } = isObject(error) ? error : {};
  const detail = clip(typeof message === 'string' ? message : 'OPA gave no reason');
  if (!isObject(location)) return { detail };
  const { file, row, col } = location;
  return {
    detail,
    ...(typeof file === 'string' ? { file: file.replace(/^\.\//, '') } : {}),
    ...(typeof row === 'number' ? { row: Math.max(1, row) } : {}),
    // At the end of a file OPA counts from 0.
    ...(typeof col === 'number' ? { column: Math.max(1, col) } : {}),
  };
}

/** The packages and the files of each, from `opa inspect`. */
export function namespacesOf(result: OpaResult): Namespaces {
  const { namespaces } = parseReport(result.stdout) ?? {};
  if (result.exitCode !== 0 || !isObject(namespaces))
    throw new PolicyInvalid('OPA could not inspect the policy', problemsOf(result));
  return new Map(Object.entries(namespaces).map(([name, files]) => [name, strings(files)]));
}

/** The rules of one module, from `opa parse`. */
export function rulesOf(result: OpaResult): readonly unknown[] {
  const { rules } = parseReport(result.stdout) ?? {};
  return Array.isArray(rules) ? rules : [];
}

/** `opa 0.70.0`, from `opa version`. Throws when that is not what answered. */
export function versionOf({ stdout }: OpaResult): string {
  const version = /^Version: (\d+\.\d+\.\d+\S{0,40})$/m.exec(stdout)?.[1];
  if (version === undefined) throw new TypeError('this is not OPA');
  return `opa ${version}`;
}

/** The outcome of each test, from `opa test`; PolicyInvalid when the tests themselves do not compile. */
export function testResultsOf(result: OpaResult): PolicyTestResult[] {
  const results = parseJson(result.stdout);
  // No test at all is written as null; exit code 2 is a failed test, 1 anything worse.
  if (results === null || (result.exitCode === 0 && result.stdout.trim() === '')) return [];
  if (!Array.isArray(results)) throw new PolicyInvalid('the tests of the policy do not run', problemsOf(result));
  return results.map((entry: unknown) => {
    const { package: name, name: rule, fail, error, skip } = isObject(entry) ? entry : {};
    const passed = fail !== true && error === undefined && skip !== true;
    return { package: String(name), name: String(rule), passed };
  });
}

/** The wasm in a bundle that OPA built. */
export async function readWasm(file: string): Promise<Buffer> {
  const tar = extract();
  const found: Uint8Array[] = [];
  let size = 0;
  const readEntries = async () => {
    for await (const entry of tar) {
      const isWasm = entry.header.name.replace(/^\//, '') === WASM_ENTRY;
      for await (const chunk of entry) {
        if (!(chunk instanceof Uint8Array)) throw new TypeError('an entry is not bytes');
        size += chunk.length;
        if (size > MAX_WASM_BYTES) throw new PolicyInvalid('the compiled policy is too large');
        if (isWasm) found.push(chunk);
      }
    }
  };
  await Promise.all([pipeline(createReadStream(file), createGunzip(), tar), readEntries()]);
  if (found.length === 0) throw new PolicyInvalid('OPA built no wasm');
  return Buffer.concat(found);
}

function parseReport(text: string): Record<string, unknown> | undefined {
  const value = parseJson(text);
  return isObject(value) ? value : undefined;
}

// OPA mixes reports and prose; undefined is no JSON.
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : [];
}

function clip(text: string): string {
  return text.slice(0, MAX_DETAIL).toWellFormed();
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
