// `npm run bench`: measures the service against baselines on the same machine in the same minutes. See bench/RESULTS.md.
import { mkdir, writeFile } from 'node:fs/promises';

import { type BenchOptions, readOptions, USAGE } from './options.ts';
import { append } from './phases/append.ts';
import { checkpoints } from './phases/checkpoints.ts';
import { identity } from './phases/identity.ts';
import { isolation } from './phases/isolation.ts';
import { locks } from './phases/locks.ts';
import { memory } from './phases/memory.ts';
import { overload } from './phases/overload.ts';
import { page } from './phases/page.ts';
import { policy } from './phases/policy.ts';
import { reproof } from './phases/reproof.ts';
import { revalidation } from './phases/revalidation.ts';
import { rotation } from './phases/rotation.ts';
import { start1, start64 } from './phases/start.ts';
import { status } from './phases/status.ts';
import { supervision } from './phases/supervision.ts';
import { tokens } from './phases/tokens.ts';
import { verify, verifyMemory } from './phases/verify.ts';
import { caution, lastLine, table } from './report.ts';
import type { Figure } from './support/figure.ts';
import { runLoad } from './support/load.ts';
import { machineFacts } from './support/machine.ts';
import type { Bench, Phase } from './support/phase.ts';
import { connectProfiler } from './support/profiler.ts';
import { statementsDuring } from './support/statement-profile.ts';
import { openWorld, type World } from './support/world.ts';
import { judge, requireAll } from './thresholds.ts';

const PHASES: readonly Phase[] = [
  identity,
  start64,
  start1,
  status,
  page,
  policy,
  tokens,
  revalidation,
  reproof,
  append,
  verify,
  verifyMemory,
  checkpoints,
  memory,
  rotation,
  locks,
  isolation,
  supervision,
  overload,
];
const RESULTS = new URL('./results/', import.meta.url);

// A reader that has seen enough (`| head`) is no reason to leave a database behind.
for (const output of [process.stdout, process.stderr]) output.on('error', () => undefined);

const options = optionsOrUsage(process.argv.slice(2));
if (options === undefined) process.exitCode = 64;
else if (options === 'help') process.stdout.write(`${USAGE}\nPhases: ${PHASES.map(({ name }) => name).join(', ')}\n`);
else process.exitCode = await bench(options);

/** Undefined, with a word on stderr, when they cannot be read. */
function optionsOrUsage(argv: readonly string[]): BenchOptions | 'help' | undefined {
  try {
    const read = readOptions(argv);
    if (read !== 'help') chosen(read.only);
    return read;
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`);
    return undefined;
  }
}

async function bench(options: BenchOptions): Promise<number> {
  const phases = chosen(options.only);
  const machine = machineFacts();
  say(`${JSON.stringify(machine)}`);
  const started = Date.now();
  const opening = openWorld({ inspect: options.profile !== undefined });
  // What is being started is ended, too: once it is there.
  const interrupted = () => {
    void opening.then((opened) => opened.close()).finally(() => process.exit(1));
  };
  // Again and again: an impatient second signal must not leave a database behind.
  process.on('SIGINT', interrupted).on('SIGTERM', interrupted);
  const world = await opening;
  try {
    const figures = await measure(phases, await benchOn(world, options));
    if (options.only.length === 0) requireAll(figures);
    const verdicts = judge(figures);
    const seconds = Math.round((Date.now() - started) / 1000);
    const result = { at: new Date().toISOString(), machine, options, seconds, figures, verdicts };
    await mkdir(RESULTS, { recursive: true });
    await writeFile(new URL('latest.json', RESULTS), `${JSON.stringify(result, undefined, 2)}\n`);
    console.log(options.json ? JSON.stringify(result) : `${table(figures, verdicts)}\n`);
    if (!options.json) console.log([...caution(figures), lastLine(verdicts)].join('\n'));
    return options.check && verdicts.some(({ met }) => !met) ? 1 : 0;
  } finally {
    await world.close();
  }
}

async function measure(phases: readonly Phase[], bench: Bench): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const phase of phases) {
    say(`${phase.name}: ${phase.what}`);
    figures.push(...(await phase.run(bench)));
  }
  return figures;
}

function chosen(only: readonly string[]): readonly Phase[] {
  const unknown = only.filter((name) => !PHASES.some((phase) => phase.name === name));
  if (unknown.length > 0) throw new Error(`no such phase: ${unknown.join(', ')}`);
  return only.length === 0 ? PHASES : PHASES.filter(({ name }) => only.includes(name));
}

/** With a directory for profiles, each section against the service leaves that of its last round. */
async function benchOn(world: World, options: BenchOptions): Promise<Bench> {
  const profile = await profileInto(options.profile, world);
  const measured: Bench['load'] = (_name, server, load) =>
    runLoad({ ...load, target: server.target }, { server: server.pid, postmaster: world.postmaster });
  return {
    options,
    world,
    say,
    profile,
    load: (name, server, load) =>
      server === world.service ? profile(name, () => measured(name, server, load)) : measured(name, server, load),
  };
}

async function profileInto(directory: string | undefined, world: World): Promise<Bench['profile']> {
  if (directory === undefined || world.service.inspector === undefined) return (_name, work) => work();
  const profiler = await connectProfiler(world.service.inspector, directory);
  return (name, work) => profiler.during(name, () => statementsDuring(world.db, directory, name, work));
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
