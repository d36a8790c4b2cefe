import t from 'tap';
import { setupProblem } from '../../src/runtime/drivers/bubblewrap/problem.ts';
import { type CommandFacts, commandOutcome, signalOf } from '../../src/runtime/outcome.ts';

const OK: CommandFacts = { endedFor: undefined, started: true, exitCode: 0, oomKills: 0, isDiskFull: false };

const CASES: readonly [why: string, facts: Partial<CommandFacts>, outcome: string][] = [
  ['it ended well', {}, 'ok'],
  ['it failed', { exitCode: 1 }, 'failed'],
  ['it was not found', { exitCode: 127 }, 'failed'],
  ['its own signal', { exitCode: 139 }, 'failed'],
  ['it ended well in a full workspace', { isDiskFull: true }, 'ok'],
  ['it failed in a full workspace', { exitCode: 1, isDiskFull: true }, 'disk_limit'],
  ['a file of it grew too large', { exitCode: 153 }, 'disk_limit'],
  ['a child was killed for memory and nobody looked', { oomKills: 1 }, 'oom'],
  ['it was killed for memory', { exitCode: 137, oomKills: 1, isDiskFull: true }, 'oom'],
  ['it was killed for memory before it began', { started: false, exitCode: null, oomKills: 1 }, 'oom'],
  ['time was up', { endedFor: 'timeout', exitCode: null }, 'timeout'],
  ['time was up before it began', { endedFor: 'timeout', started: false, exitCode: null }, 'timeout'],
  ['it waited for what was killed for memory', { endedFor: 'timeout', exitCode: null, oomKills: 2 }, 'oom'],
  ['the caller cancelled', { endedFor: 'cancelled', exitCode: null, oomKills: 1 }, 'cancelled'],
  ['it wrote too much', { endedFor: 'output_limit', exitCode: null, oomKills: 1 }, 'output_limit'],
  ['it never began', { started: false, exitCode: null }, 'setup_failed'],
  ['the chain was ended by somebody else', { exitCode: null }, 'setup_failed'],
];

for (const [why, facts, outcome] of CASES)
  t.test(`${outcome}: ${why}`, async (t) => t.equal(commandOutcome({ ...OK, ...facts }), outcome));

t.test('signals are named as shells tell them', async (t) => {
  t.same([null, 0, 1, 128, 129, 137, 139, 153, 255].map(signalOf), [
    ...[null, null, null, null],
    ...['SIGHUP', 'SIGKILL', 'SIGSEGV', 'SIGXFSZ', null],
  ]);
});

t.test('what a tool says of a failure is told without paths', async (t) => {
  t.equal(
    setupProblem("\nbwrap: Can't bind mount /oldroot/tmp/x-1/ws on /newroot/workspace: Permission denied\nmore"),
    "bwrap: Can't bind mount <path> on <path>: Permission denied",
  );
  t.match(setupProblem(''), /before the command began/);
  t.equal(setupProblem('x'.repeat(2000)).length, 300);
});
