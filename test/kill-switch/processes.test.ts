import t from 'tap';

import { newId } from '../../src/ids.ts';
import type { LocalHost } from '../../src/runtime/isolation.ts';
import { isolationOf, scriptedHost } from '../supervisor/scripted.ts';
import { supervisedWorld, until } from '../supervisor/world.ts';

/** Processes that end some time after they were told to, and never while they are stuck. */
const ENDS_MS = 300;
const WORKSPACE = '/v1/workspaces/demo/kill-switch';
const FLEET = '/v1/kill-switch';
const scripted = scriptedHost();
let stuck = Promise.resolve();
const host: LocalHost = {
  kind: 'local',
  launch: async (request) => {
    const replica = await scripted.launch(request);
    const stop = async (graceMs: number) => {
      await stuck;
      setTimeout(() => replica.stop(graceMs), ENDS_MS);
      return replica.exited;
    };
    return {
      launchId: replica.launchId,
      exited: replica.exited,
      egress: [],
      stop,
    };
  },
};
const world = await supervisedWorld(t, isolationOf(host));
const { act, agent, call, database, status } = world;

const idOf = (path: string) => path.split('/').at(-1) ?? '';
const engage = async (path: string) => {
  const { status: code, body } = await call('kernel-admin', 'PUT', path, { reason: 'it went wrong' });
  return { code, stopping: body.stopping, running: scripted.running.length };
};

const clear = (path: string) => call('kernel-admin', 'DELETE', path, { reason: 'it is mended' });

async function started(): Promise<string> {
  const path = await agent();
  await act(path, 'start');
  await until('it runs', async () => (await status(path)).status === 'running');
  return path;
}

t.test('a switch of an agent, of a workspace and of all is answered when no process is left', async (t) => {
  for (const named of [undefined, WORKSPACE, FLEET]) {
    const path = await started();
    const switchPath = named ?? `${path}/kill-switch`;
    t.same(await engage(switchPath), { code: 200, stopping: false, running: 0 }, switchPath);
    t.match(await status(path), { status: 'stopped', readyReplicas: 0 });
    await clear(switchPath);
  }
});

t.test('what was stopping or quarantined already is waited for, too', async (t) => {
  for (const [action, body] of [
    ['stop', {}],
    ['quarantine', { reason: 'odd' }],
  ] as const) {
    const path = await started();
    await act(path, action, body);
    t.same(await engage(WORKSPACE), { code: 200, stopping: false, running: 0 }, action);
    await clear(WORKSPACE);
  }
});

t.test('what does not end is said, also to whoever asks again, and keeps no other switch waiting', async (t) => {
  const path = await started();
  const other = await agent();
  const free = Promise.withResolvers<void>();
  stuck = free.promise;
  const from = performance.now();
  t.same(await engage(`${path}/kill-switch`), { code: 200, stopping: true, running: 1 });
  t.ok(performance.now() - from < 7000, 'it does not wait for ever');
  t.same(await engage(`${other}/kill-switch`), { code: 200, stopping: false, running: 1 }, 'that is not named');
  const again = engage(FLEET);
  free.resolve();
  t.same(await again, { code: 200, stopping: false, running: 0 });
  t.same(await engage(`${path}/kill-switch`), { code: 200, stopping: false, running: 0 });
  for (const each of [FLEET, `${path}/kill-switch`, `${other}/kill-switch`]) await clear(each);
});

t.test('whoever holds an agent may have processes of it, although it says nothing', async (t) => {
  const path = await agent();
  const lost = newId();
  await database.query(`INSERT INTO supervisors VALUES ($1, clock_timestamp() + interval '2 s', clock_timestamp())`, [
    lost,
  ]);
  await database.query(
    `INSERT INTO agent_claims (workspace_id, agent_id, supervisor_id, token) VALUES ('demo', $1, $2, nextval('agent_claim_tokens'))`,
    [idOf(path), lost],
  );
  const from = performance.now();
  t.match(await engage(WORKSPACE), { code: 200, stopping: false });
  t.ok(performance.now() - from > 1500, 'until its lease has ended');
});
