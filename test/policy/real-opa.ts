import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { createPolicyCompiler } from '../../src/policy/compiler.ts';
import { readData } from '../../src/policy/evaluator/wasm-artifact.ts';
import { instantiatePolicy, type PolicyInstance } from '../../src/policy/evaluator/wasm-host.ts';
import { findOpaBinary } from '../../src/policy/opa-binary.ts';

const run = promisify(execFile);

export const compiler = createPolicyCompiler({ path: process.env['PATH'] });

/** What the real OPA answers to `query`. */
export async function opaEval(
  query: string,
  files: { modules: Readonly<Record<string, string>>; data?: unknown; input: unknown },
): Promise<unknown> {
  const directory = await mkdtemp(join(tmpdir(), 'castellan-opa-eval-'));
  try {
    const given: [string, string][] = [
      ...Object.entries(files.modules),
      ['data.json', JSON.stringify(files.data ?? {})],
      ['input.json', JSON.stringify(files.input)],
    ];
    await Promise.all(given.map(([name, text]) => writeFile(join(directory, name), text)));
    const loaded = [...Object.keys(files.modules), 'data.json'].flatMap((name) => ['--data', name]);
    const args = ['eval', '--v1-compatible', '--format', 'json', '--input', 'input.json', ...loaded, query];
    const { stdout } = await run(await findOpaBinary(), args, { cwd: directory, maxBuffer: 2 ** 28 });
    const { result }: { result?: [{ expressions: [{ value: unknown }] }] } = JSON.parse(stdout);
    return result?.[0].expressions[0].value;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** The same modules compiled and run by our host, on this thread; answers the document of castellan.promotion. */
export async function wasmEval(
  modules: Readonly<Record<string, string>>,
  data: Readonly<Record<string, unknown>> = {},
): Promise<(input: unknown) => unknown> {
  const { wasm } = await compiler.compile({ modules, data });
  const module = new WebAssembly.Module(new Uint8Array(wasm));
  const instance: PolicyInstance = instantiatePolicy(module, readData(module));
  return (input) => {
    const results: [{ result: unknown }?] = JSON.parse(instance.evaluate(0, JSON.stringify(input)));
    return results[0]?.result;
  };
}
