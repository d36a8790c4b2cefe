import { randomUUID } from 'node:crypto';
import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import type { Test } from 'tap';
import { closeInheritedDescriptors } from '../../../src/boot/descriptors.ts';
import type { BubblewrapConfig } from '../../../src/config/runtime.ts';
import { defaultRuntime } from '../../../src/config.ts';
import { createEgressRules, type EgressRules } from '../../../src/egress/rules.ts';
import { createBubblewrapIsolation } from '../../../src/runtime/drivers/bubblewrap/index.ts';
import type { CommandOutcome, CommandResult, Isolation, Limits, Sandbox } from '../../../src/runtime/isolation.ts';
import { watchLeftovers } from '../../support/leftovers.ts';
import type { Tap } from '../../support/postgres.ts';

export const MIB = 1024 * 1024;
/** ms; attacks that do not end by themselves are given less. */
const AMPLE_MS = 30_000;

export const ATTACK_LIMITS: Limits = { cpu: 1, memoryBytes: 256 * MIB, pids: 64, diskBytes: 32 * MIB };

/** One program that tries to get at, or at more than, what is not its own. */
export interface Attack {
  readonly name: string;
  readonly command: string;
  readonly limits?: Partial<Limits>;
  readonly timeoutMs?: number;
  /** How it must end. */
  readonly ends: CommandOutcome | readonly CommandOutcome[];
  /** What it must have said: that it has tried, and what came of it. */
  readonly says?: RegExp | readonly RegExp[];
  /** What it must not have said. */
  readonly never?: RegExp;
  /** Looks at this machine afterwards. */
  readonly untouched?: (t: Test, done: CommandResult) => void | Promise<void>;
  /** A command of the same sandbox before it. */
  readonly before?: string;
  /** A command of the same sandbox afterwards, and what it must say. */
  readonly after?: readonly [command: string, says: RegExp];
}

export interface OpenedIsolation {
  readonly isolation: Isolation;
  /** Where it keeps what isolated processes need, one entry for each. */
  readonly ownDir: string;
}

/** The isolation of this machine, as the service opens it, in a directory of the test's own; closed and looked over at the end. */
export async function openIsolation(
  t: Tap,
  config: Partial<BubblewrapConfig> = {},
  egressRules?: EgressRules,
): Promise<OpenedIsolation> {
  // As the service does when it starts: whoever runs the tests may have left some open.
  closeInheritedDescriptors();
  const stateDir = await mkdtemp(join(tmpdir(), 'c-attack-'));
  await chmod(stateDir, 0o711);
  const runtime = defaultRuntime();
  // Files of tests run at the same time with directories of their own: claims of user ids are made in them.
  const uidBase = 1_000_000 + (process.pid % 10_000) * runtime.bubblewrap.slots;
  const isolation = createBubblewrapIsolation(
    { ...runtime, bubblewrap: { ...runtime.bubblewrap, stateDir, uidBase, ...config } },
    {
      logger: pino({ level: 'silent' }),
      egressRules: egressRules ?? createEgressRules(runtime.egress),
      searchPath: process.env['PATH'],
    },
  );
  t.teardown(async () => {
    await isolation.close();
    const left = (await readdir(stateDir, { recursive: true })).filter((name) => name !== 'slots');
    await rm(stateDir, { recursive: true });
    if (left.length > 0) throw new Error(`left in the state directory: ${left.join(', ')}`);
  });
  const state = await isolation.state();
  if (!state.available) throw new Error(JSON.stringify(state.problem));
  const own = (await readdir(stateDir)).find((name) => name.startsWith('castellan-'));
  if (own === undefined) throw new Error('it has no directory of its own');
  return { isolation, ownDir: join(stateDir, own) };
}

export function openSandbox(
  isolation: Isolation,
  changes: {
    readonly limits?: Partial<Limits>;
    readonly env?: Record<string, string>;
    readonly allowDomains?: readonly string[];
  } = {},
): Promise<Sandbox> {
  return isolation.openSandbox({
    runId: randomUUID(),
    workspaceId: 'attacked',
    agentId: randomUUID(),
    limits: { ...ATTACK_LIMITS, ...changes.limits },
    env: changes.env ?? {},
    allowDomains: changes.allowDomains ?? [],
    lifetimeMs: 300_000,
  });
}

export function runIn(sandbox: Sandbox, command: string, timeoutMs = AMPLE_MS): Promise<CommandResult> {
  return sandbox.run(command, { timeoutMs, signal: new AbortController().signal });
}

/** Each attack as a test: how it ends, what it got, that this machine is as it was, that nothing is left. */
export function attacks(t: Test, list: readonly Attack[]): void {
  let opened: OpenedIsolation | undefined;
  t.before(async () => {
    opened = await openIsolation(t);
  });
  for (const attack of list) {
    t.test(attack.name, async (t) => {
      if (opened === undefined) throw new Error('there is no isolation');
      await attackOnce(t, opened, attack);
    });
  }
}

async function attackOnce(t: Test, { isolation, ownDir }: OpenedIsolation, attack: Attack): Promise<void> {
  const leftovers = watchLeftovers(t, { stateDir: ownDir });
  const sandbox = await openSandbox(isolation, attack.limits === undefined ? {} : { limits: attack.limits });
  try {
    if (attack.before !== undefined) t.equal((await runIn(sandbox, attack.before)).result, 'ok', 'prepared');
    const done = await runIn(sandbox, attack.command, attack.timeoutMs);
    const seen = { ...done, stdout: done.stdout.text.slice(0, 4000), stderr: done.stderr.text.slice(0, 4000) };
    t.ok([attack.ends].flat().includes(done.result), `ends ${[attack.ends].flat().join(' or ')}`, seen);
    const said = `${done.stdout.text}\n${done.stderr.text}`;
    for (const pattern of [attack.says ?? []].flat()) t.match(said, pattern);
    if (attack.never !== undefined) t.notMatch(said, attack.never);
    await attack.untouched?.(t, done);
    // What was attacked still serves, in the same sandbox.
    const [command, says] = attack.after ?? ['echo still here', /^still here\n$/];
    t.match((await runIn(sandbox, command)).stdout.text, says, 'and the next command');
  } finally {
    await sandbox.close();
  }
  await leftovers.nothingLeft();
}
