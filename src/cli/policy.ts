import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';

import { sha256Digest } from '../crypto/digest.ts';
import { bundleFromFiles, type PolicyBundle } from '../policy/bundle.ts';
import { createPolicyCompiler, type PolicyCompiler } from '../policy/compiler.ts';
import { PolicyCompilerUnavailable, PolicyInvalid } from '../policy/errors.ts';
import { policyBytes } from '../policy/policy-hash.ts';
import { type Command, type CommandIo, EXIT, guarded, parseOptions, UsageError } from './command.ts';

const USAGE = `Usage: castellan policy check  <dir> [--policy-set <name>] [--json]
       castellan policy test   <dir> [--json]
       castellan policy bundle <dir> [--policy-set <name>]

check compiles the bundle in <dir> as a hot reload would, and prints its policy hash. test runs its test_ rules with OPA.
bundle prints the body of a hot reload. Exit codes: 0 good, 1 not good, 3 no compiler or unreadable, 64 usage.
`;

export const policyCheckCommand: Command = {
  name: 'policy check',
  summary: 'compile a policy bundle as a hot reload would',
  run: (argv, io) => onBundle(argv, io, check),
};

export const policyTestCommand: Command = {
  name: 'policy test',
  summary: 'run the tests of a policy bundle with OPA',
  run: (argv, io) => onBundle(argv, io, test),
};

export const policyBundleCommand: Command = {
  name: 'policy bundle',
  summary: 'print the hot reload body of a policy bundle',
  run: (argv, io) => onBundle(argv, io, printBody),
};

interface Request {
  readonly bundle: PolicyBundle;
  readonly policySet: string;
  readonly json: boolean;
  readonly compiler: PolicyCompiler;
  readonly io: CommandIo;
}

function onBundle(
  argv: readonly string[],
  io: CommandIo,
  work: (request: Request) => number | Promise<number>,
): Promise<number> {
  return guarded(io, USAGE, async () => {
    const options = { 'policy-set': { type: 'string', default: 'default' }, json: { type: 'boolean' } } as const;
    const { values, positionals } = parseOptions(argv, options, 1);
    if (values.help === true) {
      io.stdout.write(USAGE);
      return EXIT.ok;
    }
    const [dir] = positionals;
    if (dir === undefined) throw new UsageError('name the folder of the bundle');
    const compiler = createPolicyCompiler({ configured: io.env['CASTELLAN_OPA_BIN'], path: io.env['PATH'] });
    try {
      const bundle = bundleFromFiles(await readFolder(dir));
      return await work({ bundle, policySet: values['policy-set'], json: values.json === true, compiler, io });
    } catch (error) {
      return report(error, io);
    }
  });
}

async function check({ bundle, policySet, json, compiler, io }: Request): Promise<number> {
  const { packages, compilerVersion } = await compiler.compile(bundle);
  const hash = sha256Digest(policyBytes(policySet, bundle));
  if (json) io.stdout.write(`${JSON.stringify({ ok: true, policySet, hash, packages, compilerVersion })}\n`);
  else io.stdout.write(`${hash}  ${packages.join(', ')}  (${compilerVersion})\n`);
  return EXIT.ok;
}

async function test({ bundle, json, compiler, io }: Request): Promise<number> {
  const results = await compiler.test(bundle);
  const failed = results.filter(({ passed }) => !passed);
  if (json) io.stdout.write(`${JSON.stringify({ ok: failed.length === 0 && results.length > 0, results })}\n`);
  else {
    for (const { name } of failed) io.stdout.write(`FAIL ${name}\n`);
    io.stdout.write(`${results.length - failed.length} passed, ${failed.length} failed\n`);
  }
  // A bundle without tests has proved nothing.
  return failed.length === 0 && results.length > 0 ? EXIT.ok : EXIT.failed;
}

function printBody({ bundle: { modules, data }, policySet, io }: Request): number {
  io.stdout.write(`${JSON.stringify({ policySet, bundle: { modules, data } })}\n`);
  return EXIT.ok;
}

function report(error: unknown, io: CommandIo): number {
  if (error instanceof PolicyInvalid) {
    for (const { file, row, column, pointer, detail } of error.problems) {
      const place =
        file === undefined ? (pointer ?? '') : [file, row, column].filter((part) => part !== undefined).join(':');
      io.stderr.write(`${place}${place === '' ? '' : ': '}${detail}\n`);
    }
    return EXIT.failed;
  }
  if (error instanceof PolicyCompilerUnavailable || (error instanceof Error && 'syscall' in error)) {
    io.stderr.write(`${error.message}\n`);
    return EXIT.io;
  }
  throw error;
}

/** Regular files below `dir` by their relative path. */
async function readFolder(dir: string): Promise<Map<string, Buffer>> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return new Map(await Promise.all(files.map(async (file) => [relative(dir, file), await readFile(file)] as const)));
}
