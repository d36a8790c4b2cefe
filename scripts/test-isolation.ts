// `npm run test:isolation`: everything about isolation in full, with 1,000 runs that end in every way after which nothing may
// be left. What `npm test` runs of it is the same with fewer runs.
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const USAGE = `Usage: npm run test:isolation -- [--runs <n>]

Runs the attacks, the conformance of the drivers, the tests of bubblewrap and n mixed runs (default 1000). Needs bwrap, socat, setpriv and prlimit
(npm run setup:system), and for memory and processes cgroups; where isolation cannot be had it fails.
`;
const DIRECTORIES = ['test/isolation', 'test/conformance/isolation', 'test/runtime/bubblewrap'];
/** s; of one file. */
const FILE_LIMIT = 3600;

const { values } = parseArgs({
  options: { runs: { type: 'string', default: '1000' }, help: { type: 'boolean', default: false } },
});
if (values.help) process.stdout.write(USAGE);
else if (!/^[1-9]\d{0,6}$/.test(values.runs)) {
  process.stderr.write(USAGE);
  process.exitCode = 64;
} else process.exitCode = await runAll(values.runs);

/** One file at a time: limits of time are those of a machine that does nothing else. */
function runAll(runs: string): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  const files = DIRECTORIES.flatMap((dir) =>
    readdirSync(dir).flatMap((name) => (/\.(?:test|full)\.ts$/.test(name) ? [join(dir, name)] : [])),
  );
  const args = ['--jobs=1', `--timeout=${FILE_LIMIT}`, '--reporter=terse', ...files];
  // CI: what cannot isolate fails, it is not skipped.
  const env = { ...process.env, CI: 'true', TESTING_ISOLATION_RUNS: runs };
  const child = spawn('tap', args, { stdio: 'inherit', env });
  child.on('error', (error) => {
    console.error(error.message);
    resolve(127);
  });
  child.on('close', (code) => resolve(code ?? 1));
  return promise;
}
