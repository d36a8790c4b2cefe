import { join } from 'node:path';
import type { Tap } from '../support/postgres.ts';
import { castellan, type Env, processesIn, type Running, testHome, until } from '../support/process.ts';
import { type Answer, caller, testCertificates } from '../support/service.ts';

export interface Ready {
  readonly ready: boolean;
  readonly api: string;
  readonly ops: string;
  readonly databaseUrl: string;
  readonly certsDir: string;
  readonly workspaceId: string;
  readonly pid: number;
}

export interface DevHome {
  readonly home: string;
  readonly tmp: string;
  readonly dataDir: string;
  readonly env: Env;
}

export interface Dev {
  readonly running: Running;
  readonly ready: Ready;
  call(who: string, method: string, path: string, body?: unknown): Promise<Answer>;
}

/** One that ended by itself between the look and the signal is what was wanted. */
function endIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

/** Where a `castellan dev` of this test keeps everything; what a failed test leaves running there is ended. */
export async function devHome(t: Tap): Promise<DevHome> {
  const certsDir = await testCertificates(t);
  const { home, tmp } = await testHome(t);
  t.teardown(() => {
    for (const pid of processesIn(home)) endIfThere(pid);
  });
  const dataDir = join(home, 'data');
  const env = {
    TMPDIR: tmp,
    CASTELLAN_DATA_DIR: dataDir,
    CASTELLAN_CERTS_DIR: certsDir,
    CASTELLAN_API_PORT: '0',
    CASTELLAN_OPS_PORT: '0',
    // Trying isolation at every start costs more than most of these tests.
    CASTELLAN_RUNTIME_DRIVER: 'off',
    CASTELLAN_LOG_LEVEL: 'warn',
  };
  return { home, tmp, dataDir, env };
}

/** `castellan dev --json`, ready. */
export async function startDev(t: Tap, env: Env, args: readonly string[] = []): Promise<Dev> {
  const running = castellan(t, ['dev', '--json', ...args], env);
  await until(
    'the line of readiness',
    () => running.stdout().includes('\n') || running.child.exitCode !== null,
    60_000,
  );
  if (running.child.exitCode !== null) throw new Error(`it ended: ${running.stderr()}`);
  const ready: Ready = JSON.parse(running.stdout());
  return { running, ready, call: caller(ready.api, ready.certsDir) };
}
