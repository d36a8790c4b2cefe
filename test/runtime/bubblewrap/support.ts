import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { createEgressRules, type EgressRules } from '../../../src/egress/rules.ts';
import { createChainHost } from '../../../src/runtime/drivers/bubblewrap/chain-host.ts';
import type { Places } from '../../../src/runtime/drivers/bubblewrap/place.ts';
import { createPlaces } from '../../../src/runtime/drivers/bubblewrap/places.ts';
import { launchReplica } from '../../../src/runtime/drivers/bubblewrap/replica.ts';
import { type IsolationParts, openSandbox } from '../../../src/runtime/drivers/bubblewrap/sandbox.ts';
import { findTools } from '../../../src/runtime/drivers/bubblewrap/tools.ts';
import type { CommandResult, Limits, Replica, Sandbox } from '../../../src/runtime/isolation.ts';
import type { Tap } from '../../support/postgres.ts';

const MIB = 1024 ** 2;
export const LIMITS: Limits = { cpu: 1, memoryBytes: 128 * MIB, pids: 64, diskBytes: 16 * MIB };

export interface PartsOptions {
  readonly egressRules?: EgressRules;
  /** State directory, whoever has used it before; one of the test's own otherwise, taken away at its end. */
  readonly stateDir?: string;
}

/** The parts of the driver on this machine. */
export async function isolationParts(
  t: Pick<Tap, 'teardown'>,
  { egressRules = createEgressRules({ internalHosts: [] }), stateDir }: PartsOptions = {},
): Promise<IsolationParts & { readonly places: Places }> {
  const dir = await mkdtemp(join(tmpdir(), 'c-iso-'));
  await chmod(dir, 0o711);
  await mkdir(join(dir, 'chains'), { mode: 0o711 });
  const tools = await findTools(process.env['PATH']);
  const host = await createChainHost(tools, { dir: join(dir, 'chains'), toolchains: [] });
  const uid = process.getuid?.() ?? 0;
  const config = {
    stateDir: stateDir ?? join(dir, 's'),
    cgroup: undefined,
    degradedLimits: uid !== 0,
    uidBase: 310_000,
    slots: 16,
    toolchains: [],
  };
  const places = createPlaces({ config, tools, uid });
  t.teardown(async () => {
    await host.close();
    await places.close();
    await rm(dir, { recursive: true });
  });
  return { host, places, egressRules };
}

export interface RunOptions {
  readonly limits?: Partial<Limits>;
  readonly env?: Readonly<Record<string, string>>;
  readonly allowDomains?: readonly string[];
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export async function openTestSandbox(parts: IsolationParts, options: RunOptions = {}): Promise<Sandbox> {
  return openSandbox(parts, {
    runId: '00000000-0000-7000-8000-000000000001',
    workspaceId: 'w',
    agentId: 'a',
    limits: { ...LIMITS, ...options.limits },
    env: options.env ?? {},
    allowDomains: options.allowDomains ?? [],
    lifetimeMs: 60_000,
  });
}

/** One command in a sandbox of its own. */
export async function runOnce(
  parts: IsolationParts,
  command: string,
  options: RunOptions = {},
): Promise<CommandResult> {
  const sandbox = await openTestSandbox(parts, options);
  try {
    return await sandbox.run(command, {
      timeoutMs: options.timeoutMs ?? 10_000,
      signal: options.signal ?? new AbortController().signal,
    });
  } finally {
    await sandbox.close();
  }
}

export interface TestReplica {
  readonly replica: Replica;
  output(): string;
}

export async function launchTest(
  parts: IsolationParts,
  command: readonly string[],
  options: RunOptions & { readonly secrets?: ReadonlyMap<string, Buffer> } = {},
): Promise<TestReplica> {
  let output = '';
  const replica = await launchReplica(parts, {
    workspaceId: 'w',
    agentId: 'a',
    launchId: '00000000-0000-7000-8000-000000000002',
    command,
    env: options.env ?? {},
    secrets: options.secrets ?? new Map(),
    limits: { ...LIMITS, ...options.limits },
    allowDomains: options.allowDomains ?? [],
    onOutput: (_stream, chunk) => {
      output += chunk.toString('latin1');
    },
  });
  return { replica, output: () => output };
}
