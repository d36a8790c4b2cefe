import { readdirSync, readFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import t from 'tap';

import { closeInheritedDescriptors } from '../../src/boot/descriptors.ts';
import { defaultRuntime } from '../../src/config.ts';
import { supervisedWorld, until } from '../supervisor/world.ts';
import { isolationTest } from '../support/isolation.ts';
import { watchLeftovers } from '../support/leftovers.ts';
import { SPEC } from './support/world.ts';

isolationTest(t);
// As the service does when it starts: what a process was started with is open for whatever it starts.
closeInheritedDescriptors();

const CANARY = 'canary-5e2b-of-a-secret';
const secretsDir = t.testdir({ demo: { token: CANARY } });
watchLeftovers(t);
const world = await supervisedWorld(t, undefined, {
  runtime: { driver: 'bubblewrap', agents: { ...defaultRuntime().agents, secretsDir, stopGraceMs: 1000 } },
});
const { act, agent, call, database, events, governed, status } = world;

const IDLE = 'echo ready; while :; do sleep 1; done';
const STUBBORN = `trap '' TERM; ${IDLE}`;
let words = 0;

const idOf = (path: string) => path.split('/').at(-1) ?? '';
const has = (path: string, wanted: string) => async () => (await status(path)).status === wanted;
const isRunning =
  (path: string, ready = 1) =>
  async () => {
    const now = await status(path);
    return now.status === 'running' && now.readyReplicas === ready;
  };

/** The script is known by a word that nothing else on this machine has among its arguments. */
function running(script: string, more: object = {}) {
  words += 1;
  const word = `castellan-word-${process.pid}-${words}`;
  return { word, spec: { ...SPEC, runtime: { command: ['sh', '-c', script, word], ...more } } };
}

/** The agent's own, not those around it, which have its command among their arguments too. */
function processes(word: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && argumentsOf(name)[3] === word)
    .map(Number);
}

function argumentsOf(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    // It has ended.
    return [];
  }
}

async function started(script: string, ttlSeconds?: number): Promise<{ path: string; word: string }> {
  const { word, spec } = running(script);
  const path = await agent(spec, ttlSeconds);
  await act(path, 'start');
  await until('it runs', isRunning(path));
  return { path, word };
}

async function output(path: string): Promise<string> {
  const { body } = await call('operator', 'GET', `${path}/logs`);
  return body.entries.map(({ text }: { text: string }) => text).join('');
}

/** Events of a stream until one of them holds; the id of the last and all data. */
function follow(
  path: string,
  isEnough: (data: string) => boolean,
  lastId?: string,
): Promise<{ id: string; data: string }> {
  const pem = (name: string) => readFileSync(join(world.certsDir, name));
  const { promise, resolve, reject } = Promise.withResolvers<{ id: string; data: string }>();
  const outgoing = request(new URL(`${path}/logs?follow=true`, world.service.apiUrl), {
    ca: pem('ca.crt'),
    cert: pem('operator.crt'),
    key: pem('operator.key'),
    agent: false,
    headers: lastId === undefined ? {} : { 'last-event-id': lastId },
  });
  outgoing.on('error', reject);
  outgoing.on('response', (response) => {
    let text = '';
    response.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      if (!isEnough(text)) return;
      const id = [...text.matchAll(/^id: (\d+)$/gm)].at(-1)?.[1] ?? '';
      resolve({ id, data: text });
      outgoing.destroy();
    });
    response.on('error', () => undefined);
    response.on('end', () => reject(new Error(`the stream ended: ${text}`)));
  });
  outgoing.end();
  return promise;
}

t.test('a start is a process, what it says can be read, and its end another launch', async (t) => {
  const { path, word } = await started('echo "hello from $$"; echo oh >&2; while :; do sleep 1; done');
  const [pid, ...others] = processes(word);
  t.ok(pid !== undefined && others.length === 0);
  await until('its output is kept', async () => (await output(path)).includes('hello from'));
  const { body } = await call('operator', 'GET', `${path}/logs?tail=1`);
  t.match(body, { entries: [{ replica: '0', text: /^(oh|hello)/ }], dropped: 0 });
  const { id, data } = await follow(path, (text) => text.includes('hello from'));
  t.match(data, /^event: output$/m);
  const again = follow(path, (text) => text.includes('hello from'), id);
  process.kill(pid ?? 0, 'SIGKILL');
  t.match((await again).data, /hello from/, 'whoever resumes gets what came since');
  await until('another one runs', () => processes(word).length === 1 && processes(word)[0] !== pid);
  t.equal((await events(path, 'agent.launched')).length, 2);
  t.match(await events(path, 'agent.exited'), [{ cause: 'exited' }]);
  await until('it is ready again', isRunning(path));
});

t.test('a stop asks first, and ends what does not listen', async (t) => {
  const { path, word } = await started(STUBBORN);
  await act(path, 'stop');
  await until('it has stopped', has(path, 'stopped'));
  t.same(processes(word), []);
  t.match(await events(path, 'agent.exited'), [{ cause: 'stopped' }]);
  const polite = await started("trap 'exit 7' TERM; while :; do sleep 0.1; done");
  await act(polite.path, 'stop');
  await until('it has stopped', has(polite.path, 'stopped'));
  t.match(await status(polite.path), { lastExit: { cause: 'stopped', exitCode: 7 } });
});

t.test('quarantine, kill switch and stop token leave nothing within two seconds', async (t) => {
  const ends: [string, (path: string) => Promise<unknown>][] = [
    ['quarantine', (path) => act(path, 'quarantine', { reason: 'odd' })],
    ['kill switch', () => call('kernel-admin', 'PUT', '/v1/workspaces/demo/kill-switch', { reason: 'odd' })],
  ];
  for (const [name, end] of ends) {
    const { path, word } = await started(STUBBORN);
    const from = performance.now();
    await end(path);
    if (name === 'kill switch') t.same(processes(word), [], 'once it is answered');
    await until(`${name} leaves nothing`, () => processes(word).length === 0);
    const ms = performance.now() - from;
    t.ok(ms < 2000, `${name}: ${Math.round(ms)} ms`);
  }
  await call('kernel-admin', 'DELETE', '/v1/workspaces/demo/kill-switch', { reason: 'mended' });
  const { word, spec } = running(STUBBORN);
  const path = await agent({ ...spec, human: { stopToken: 'canary-stop' } });
  await act(path, 'start');
  await until('it runs', isRunning(path));
  await act(path, 'emergency-stop', { stopToken: 'canary-stop' });
  const ms = await until('the token leaves nothing', () => processes(word).length === 0);
  t.ok(ms < 2000, `stop token: ${Math.round(ms)} ms`);
  await until('it has stopped', has(path, 'stopped'));
});

t.test('replicas come and go, and an agent ends with its time', async (t) => {
  const { path, word } = await started(IDLE);
  const scale = (replicas: number) => call('kernel-admin', 'POST', `/api/v1/agent/${idOf(path)}/scale`, { replicas });
  t.equal((await scale(3)).status, 200);
  await until('three', isRunning(path, 3));
  t.equal(processes(word).length, 3);
  t.equal((await scale(1)).status, 200);
  await until('one', () => processes(word).length === 1);
  await act(path, 'stop');
  const short = await started(IDLE, 3);
  await until('its time is up', () => processes(short.word).length === 0);
  await until('it has stopped', has(short.path, 'stopped'));
});

t.test('a secret is a file of its agent, and its value nowhere else', async (t) => {
  const script =
    'cat /run/secrets/token | wc -c; echo "$TOKEN_FILE [$TOKEN]"; env; tr "\\0" "\\n" </proc/1/environ; while :; do sleep 1; done';
  const { spec } = running(script, { env: { TOKEN: 'secretRef:token', PLAIN: 'value' } });
  const path = await governed(spec);
  await act(path, 'start');
  await until('it runs', isRunning(path));
  await until('it has said it', async () => (await output(path)).includes('PLAIN=value'));
  const said = await output(path);
  t.match(said, new RegExp(`^${CANARY.length}\n/run/secrets/token \\[\\]`));
  t.notMatch(said, CANARY);
  const { rows } = await database.query(
    `SELECT count(*)::int AS n FROM (SELECT body::text AS x FROM audit_events UNION ALL SELECT a::text FROM agents a
       UNION ALL SELECT l::text FROM agent_logs l UNION ALL SELECT d::text FROM decisions d) s WHERE x LIKE $1`,
    [`%${CANARY}%`],
  );
  t.same(rows, [{ n: 0 }]);
  await act(path, 'stop');
  await until('it has stopped', has(path, 'stopped'));

  const missing = await governed({ ...spec, runtime: { ...spec.runtime, env: { TOKEN: 'secretRef:nobody' } } });
  await act(missing, 'start');
  await until('the reason can be read', async () => (await status(missing)).lastExit !== undefined);
  t.match(await status(missing), {
    status: 'starting',
    lastExit: { cause: 'setup_failed', code: 'SECRET_UNAVAILABLE' },
  });
  t.same(await events(missing, 'agent.launched'), []);
  await act(missing, 'stop');
});

t.test('a flood costs what is kept, and the rest is counted', async (t) => {
  const { path } = await started('head -c 3000000 /dev/zero | tr "\\0" x; echo; while :; do sleep 1; done');
  await until('it was counted', async () => (await call('operator', 'GET', `${path}/logs`)).body.dropped > 1_000_000);
  const { rows } = await database.query(
    'SELECT sum(octet_length(text))::int AS kept FROM agent_logs WHERE agent_id = $1',
    [idOf(path)],
  );
  t.ok(rows[0].kept <= 400_000, `${rows[0].kept} bytes`);
});
