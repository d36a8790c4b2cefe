import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { canonicalBytes } from '../crypto/canonical-json.ts';
import { type Digest, sha256Digest } from '../crypto/digest.ts';
import type { PolicyBundle } from './bundle.ts';
import { restrictCapabilities } from './capabilities.ts';
import { type BundleProblem, PolicyCompilerUnavailable, PolicyInvalid } from './errors.ts';
import type { PolicyPackage } from './evaluator/engine.ts';
import { attachData, inspectArtifact } from './evaluator/wasm-artifact.ts';
import { findOpaBinary, type OpaBinaryOptions } from './opa-binary.ts';
import {
  namespacesOf,
  type PolicyTestResult,
  problemsOf,
  readWasm,
  rulesOf,
  testResultsOf,
  versionOf,
} from './opa-output.ts';
import { type OpaResult, OpaStopped, runOpa } from './opa-process.ts';
import { denyProblem, knownPackages, mustDeny, type Namespaces, packageProblems } from './package-rules.ts';

/** Below the 10 s of a handler, so that the caller still hears why. */
const DEFAULT_TIMEOUT_MS = 8000;
/** Compilations that may wait for the one under way. */
const MAX_WAITING = 16;
const MODULES = 'modules';
const BUNDLE = 'bundle.tar.gz';
const CAPABILITIES = 'capabilities.json';
/** Each is parsed by a process of its own. */
const MAX_GOVERNING_FILES = 32;

export interface CompiledPolicy {
  /** OPA's wasm with the policy's data in it: the form an engine loads. */
  readonly wasm: Buffer;
  readonly wasmSha256: Digest;
  /** As in `opa 0.70.0`. */
  readonly compilerVersion: string;
  readonly packages: readonly PolicyPackage[];
  /** Slash-separated, in the order of `packages`. */
  readonly entrypoints: readonly string[];
}

export interface PolicyCompiler {
  /**
   * The artifact of a bundle. Rejects with PolicyInvalid (file, row, column) for what cannot or must not be run, also when
   * it takes too long; with PolicyCompilerUnavailable when OPA cannot be run or too many are waiting.
   */
  compile(bundle: Pick<PolicyBundle, 'modules' | 'data'>): Promise<CompiledPolicy>;
  /** Runs the `test_` rules of a bundle, under the capabilities of a policy. Rejects as compile does. */
  test(bundle: PolicyBundle): Promise<PolicyTestResult[]>;
}

type Opa = (...args: readonly string[]) => Promise<OpaResult>;

interface Toolchain {
  readonly opa: string;
  readonly version: string;
  readonly capabilities: Record<string, unknown>;
}

/** A compiler over the real OPA, one child process at a time, each in a private directory that is removed. */
export function createPolicyCompiler(options: OpaBinaryOptions & { timeoutMs?: number } = {}): PolicyCompiler {
  const { timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  let known: Promise<Toolchain> | undefined;
  let tail: Promise<unknown> = Promise.resolve();
  let waiting = 0;

  /** What holds for every compilation with this binary. A failure is not kept: an operator may mend it. */
  async function toolchain(): Promise<Toolchain> {
    known ??= inspectOpa(options, timeoutMs);
    try {
      return await known;
    } catch (error) {
      known = undefined;
      throw error;
    }
  }

  function oneAtATime<T>(work: () => Promise<T>): Promise<T> {
    if (waiting >= MAX_WAITING) return Promise.reject(new PolicyCompilerUnavailable('too many policies are waiting'));
    waiting += 1;
    const result = tail.then(work);
    const done = () => {
      waiting -= 1;
    };
    tail = result.then(done, done);
    return result;
  }

  function inWorkspace<T>(
    modules: Readonly<Record<string, string>>,
    work: (opa: Opa, version: string, directory: string) => Promise<T>,
  ): Promise<T> {
    return oneAtATime(async () => {
      const { opa, version, capabilities } = await toolchain();
      return inPrivateDirectory(async (directory) => {
        await writeFile(join(directory, CAPABILITIES), JSON.stringify(capabilities));
        await writeModules(join(directory, MODULES), modules);
        const signal = AbortSignal.timeout(timeoutMs);
        const run: Opa = (...args) => runOpa(opa, args, { cwd: join(directory, MODULES), signal });
        return work(run, version, directory);
      }).catch((error: unknown) => {
        throw asPolicyError(error);
      });
    });
  }

  function compile({ modules, data }: Pick<PolicyBundle, 'modules' | 'data'>): Promise<CompiledPolicy> {
    return inWorkspace(modules, async (opa, compilerVersion, directory) => {
      const limits = ['--v1-compatible', '--capabilities', join('..', CAPABILITIES)];
      refuseProblems(await opa('check', ...limits, '--format', 'json', '.'));
      const namespaces = namespacesOf(await opa('inspect', '--v1-compatible', '--format', 'json', '.'));
      await requirePackages(opa, namespaces, data);
      const packages = knownPackages(namespaces);
      const entrypoints = packages.map((name) => name.replace('.', '/'));
      const asked = entrypoints.flatMap((entrypoint) => ['--entrypoint', entrypoint]);
      const output = join('..', BUNDLE);
      const built = await opa('build', ...limits, '--target', 'wasm', ...asked, '--output', output, '.');
      refuseProblems(built);
      const wasm = attachData(await readWasm(join(directory, BUNDLE)), canonicalBytes(data));
      requireBuiltins(wasm);
      return { wasm, wasmSha256: sha256Digest(wasm), compilerVersion, packages, entrypoints };
    });
  }

  function test({ modules, tests, data }: PolicyBundle): Promise<PolicyTestResult[]> {
    const files = { ...modules, ...tests, 'data.json': canonicalBytes(data).toString() };
    return inWorkspace(files, async (opa) => {
      const limits = ['--v1-compatible', '--capabilities', join('..', CAPABILITIES)];
      return testResultsOf(await opa('test', ...limits, '--format', 'json', '.'));
    });
  }

  return { compile, test };
}

async function inspectOpa(options: OpaBinaryOptions, timeoutMs: number): Promise<Toolchain> {
  const opa = await findOpaBinary(options);
  const where = { cwd: tmpdir(), signal: AbortSignal.timeout(timeoutMs) };
  try {
    const version = versionOf(await runOpa(opa, ['version'], where));
    const capabilities: unknown = JSON.parse((await runOpa(opa, ['capabilities', '--current'], where)).stdout);
    return { opa, version, capabilities: restrictCapabilities(capabilities) };
  } catch (cause) {
    throw new PolicyCompilerUnavailable('OPA was found and does not run', { cause });
  }
}

async function inPrivateDirectory<T>(work: (directory: string) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'castellan-policy-'));
  try {
    return await work(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function writeModules(root: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    const file = join(root, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text, { flag: 'wx' });
  }
}

function refuseProblems(result: OpaResult): void {
  if (result.exitCode === 0) return;
  const problems = problemsOf(result);
  throw new PolicyInvalid(`the policy does not compile: ${problems[0]?.detail ?? 'no reason given'}`, problems);
}

async function requirePackages(opa: Opa, namespaces: Namespaces, data: PolicyBundle['data']): Promise<void> {
  const problems = packageProblems(namespaces, data);
  const governing = [...namespaces].filter(([namespace]) => mustDeny(namespace));
  if (governing.flatMap(([, files]) => files).length > MAX_GOVERNING_FILES) {
    problems.push({ detail: `more than ${MAX_GOVERNING_FILES} files in castellan packages` });
  }
  if (problems.length === 0) {
    for (const [namespace, files] of governing) problems.push(...(await denyProblems(opa, namespace, files)));
  }
  if (problems.length > 0) throw new PolicyInvalid(problems[0]?.detail ?? 'the packages are unusable', problems);
}

async function denyProblems(opa: Opa, namespace: string, files: readonly string[]): Promise<BundleProblem[]> {
  const rules: unknown[] = [];
  for (const file of files) {
    // A path is given as ./path, so that none is taken for an option.
    const parsed = await opa('parse', '--v1-compatible', '--format', 'json', `./${file}`);
    refuseProblems(parsed);
    rules.push(...rulesOf(parsed));
  }
  const detail = denyProblem(rules);
  return detail === undefined ? [] : [{ file: files[0] ?? '', detail: `${namespace.slice('data.'.length)} ${detail}` }];
}

function requireBuiltins(wasm: Buffer): void {
  const { missingBuiltins } = inspectArtifact(new WebAssembly.Module(new Uint8Array(wasm)));
  if (missingBuiltins.length === 0) return;
  const problems = missingBuiltins.map((name) => ({ detail: `the builtin ${name} is not provided here` }));
  throw new PolicyInvalid(`builtins not provided here: ${missingBuiltins.join(', ')}`, problems);
}

function asPolicyError(error: unknown): unknown {
  if (error instanceof OpaStopped) {
    const detail = error.why === 'time' ? 'the policy took too long to compile' : 'the policy is too large to compile';
    return new PolicyInvalid(detail, [{ detail }], error);
  }
  return error;
}
