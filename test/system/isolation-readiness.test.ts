import { rmSync, writeFileSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';

import { defaultRuntime } from '../../src/config.ts';
import { helpersOf } from '../sandbox-runs/support/world.ts';
import { isolationTest } from '../support/isolation.ts';
import { watchLeftovers } from '../support/leftovers.ts';
import type { Tap } from '../support/postgres.ts';
import { until } from '../support/process.ts';
import { type TestService, testService } from '../support/service.ts';

isolationTest(t);

const { database, certsDir } = await testService(t);
const runtime = { ...defaultRuntime(), driver: 'bubblewrap' as const };

async function service(t: Tap, options: { readonly required: boolean; readonly stateDir: string }) {
  const { required, stateDir } = options;
  const bubblewrap = { ...runtime.bubblewrap, stateDir, degradedLimits: process.getuid?.() !== 0 };
  return testService(t, { database, certsDir, runtime: { ...runtime, required, bubblewrap } });
}

async function directory(t: Tap): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'c-ready-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  await chmod(dir, 0o711);
  return dir;
}

async function readiness({ service }: TestService) {
  const answer = await fetch(`${service.opsUrl}/readyz`);
  const { checks } = JSON.parse(await answer.text());
  return { status: answer.status, checks };
}

async function metric({ service }: TestService, line: RegExp): Promise<void> {
  await until(`${line}`, async () => line.test(await (await fetch(`${service.opsUrl}/metrics`)).text()));
}

t.test('what isolates is ready, and takes everything away at its end', async (t) => {
  const left = watchLeftovers(t);
  const running = await service(t, { required: true, stateDir: join(await directory(t), 's') });
  await until('ready', async () => (await readiness(running)).status === 200);
  t.match((await readiness(running)).checks.isolation, { ok: true });
  await metric(running, /^castellan_isolation_available 1$/m);
  await metric(running, /^castellan_isolation_slots\{state="free"\} \d+$/m);
  const { agent, run } = helpersOf(running);
  const ran = await run(await agent(), { tests: ['echo fine'], timeout_seconds: 30 });
  t.match(ran.body, { status: 'passed', results: [{ result: 'ok' }] });
  await running.service.close();
  await left.nothingLeft();
});

t.test('what cannot isolate says what to do; it is ready unless it must isolate', async (t) => {
  const dir = await directory(t);
  const stateDir = join(dir, 's');
  writeFileSync(stateDir, 'in the way');
  const [may, must] = [await service(t, { required: false, stateDir }), await service(t, { required: true, stateDir })];
  const problem = { detail: 'ISOLATION_UNAVAILABLE', check: 'state-dir', fix: /CASTELLAN_RUNTIME_STATE_DIR/ };
  await until('the first look', async () => (await readiness(may)).checks.isolation.check !== undefined);
  t.match(await readiness(may), { status: 200, checks: { isolation: { ok: true, ...problem } } });
  await until('the first look', async () => (await readiness(must)).checks.isolation.check !== undefined);
  t.match(await readiness(must), { status: 503, checks: { isolation: { ok: false, ...problem } } });
  await metric(may, /^castellan_isolation_available 0$/m);

  const { agent, run } = helpersOf(may);
  const agentId = await agent();
  const refused = await run(agentId, { tests: ['echo fine'], timeout_seconds: 30 });
  t.equal(refused.status, 503);
  t.match(refused.body, { code: 'ISOLATION_UNAVAILABLE', check: 'state-dir', fix: problem.fix });

  rmSync(stateDir);
  await must.service.app.isolation?.recheck();
  await until('ready once that is mended', async () => (await readiness(must)).status === 200);
});
