// `npm test`: every check of the project, in order of cost. Prints one closing line: N passed, N failed[, N skipped].
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { makeDevelopmentCertificates } from '../src/certs/development.ts';
import { startTestServer } from '../test/support/postgres.ts';
import { failedTests } from './failed-tests.ts';

const SLOWEST = 12;

interface Tally {
  passed: number;
  failed: number;
  skipped: number;
}

const STATIC_CHECKS: readonly (readonly [name: string, command: string, ...args: string[]])[] = [
  ['lint and format', 'biome', 'check', '--error-on-warnings'],
  ['types', 'tsc', '--noEmit'],
  ['dead code', 'knip'],
];

const tally: Tally = { passed: 0, failed: 0, skipped: 0 };
for (const [name, command, ...args] of STATIC_CHECKS) {
  const ok = (await run(command, args)) === 0;
  if (ok) tally.passed += 1;
  else tally.failed += 1;
  console.log(`${ok ? 'ok' : 'NOT OK'} - ${name}`);
}
await runTests(process.argv.slice(2));
console.log(`${tally.passed} passed, ${tally.failed} failed${tally.skipped > 0 ? `, ${tally.skipped} skipped` : ''}`);
process.exitCode = tally.failed === 0 ? 0 : 1;

async function runTests(args: readonly string[]): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'castellan-test-'));
  const report = join(dir, 'report.tap');
  const certs = join(dir, 'certs');
  await makeDevelopmentCertificates(certs, { trustDomain: 'castellan.dev' });
  const server = await startTestServer();
  try {
    // Hundreds of processes load the same modules; each would strip and compile them anew.
    const env = { ...server.env, TESTING_CERTS_DIR: certs, NODE_COMPILE_CACHE: join(dir, 'compile-cache') };
    const reporter = process.stdout.isTTY ? 'terse' : 'silent';
    const code = await run('tap', [`--reporter=${reporter}`, `--output-file=${report}`, ...args], env);
    const text = readFileSync(report, 'utf8');
    addReport(text, code);
    for (const [file, seconds] of slowest(text)) console.log(`slow - ${file} ${seconds.toFixed(0)} s`);
    for (const failure of failedTests(text)) console.log(`NOT OK - ${failure}`);
  } finally {
    await server.stop();
    await rm(dir, { recursive: true, force: true });
  }
}

/** The files that took longest: where a run that grows too long is to be mended. */
function slowest(report: string): [file: string, seconds: number][] {
  const files = report.matchAll(/^(?:not )?ok \d+ - (test\/\S+\.test\.ts) # time=([\d.]+)ms/gm);
  return Array.from(files, ([, file = '', ms]): [string, number] => [file, Number(ms) / 1000])
    .toSorted(([, a], [, b]) => b - a)
    .slice(0, SLOWEST);
}

/** Adds tap's own last summary; a run without one, or one that failed without saying what, counts as a failure. */
function addReport(report: string, code: number): void {
  const summary = report
    .split('\n')
    .findLast((line) => line.startsWith('# {'))
    ?.matchAll(/(total|pass|fail|skip|todo): (\d+)/g);
  const counts = Object.fromEntries([...(summary ?? [])].map(([, name, n]) => [name, Number(n)]));
  tally.passed += counts['pass'] ?? 0;
  tally.skipped += (counts['skip'] ?? 0) + (counts['todo'] ?? 0);
  tally.failed += counts['fail'] ?? 0;
  if (summary === undefined || (code !== 0 && (counts['fail'] ?? 0) === 0)) tally.failed += 1;
}

function run(command: string, args: readonly string[], env: Record<string, string> = {}): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  const child = spawn(command, args, { stdio: 'inherit', env: { ...process.env, ...env } });
  child.on('error', (error) => {
    console.error(error.message);
    resolve(127);
  });
  child.on('close', (code) => resolve(code ?? 1));
  return promise;
}
