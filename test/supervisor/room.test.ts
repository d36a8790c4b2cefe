import t from 'tap';

import { defaultRuntime } from '../../src/config.ts';
import { isolationOf, scriptedHost } from './scripted.ts';
import { supervisedWorld, until } from './world.ts';

const host = scriptedHost();
const { bubblewrap, sandbox } = defaultRuntime();
// Room for three processes of agents; the other places are those of sandbox runs.
const runtime = { bubblewrap: { ...bubblewrap, slots: 5 }, sandbox: { ...sandbox, concurrency: 2 } };
const { act, agent, call, events, status } = await supervisedWorld(t, isolationOf(host), { runtime });
const scale = (path: string, replicas: number) =>
  call('kernel-admin', 'POST', `/api/v1/agent/${path.split('/').at(-1)}/scale`, { replicas });

t.test('who is scaled beyond the room there is gets what there is, without a launch that fails', async (t) => {
  const path = await agent();
  await act(path, 'start');
  await until('it runs', async () => (await status(path)).status === 'running');
  t.equal((await scale(path, 9)).status, 200);
  await until('the room is full', async () => (await status(path)).readyReplicas >= 3);
  // Those that wait have tried once more by now.
  const from = performance.now();
  await until('a while later', () => performance.now() - from > 1200);
  t.equal(host.running.length, 3);
  t.equal((await events(path, 'agent.launched')).length, 3);
  host.running[0]?.exit();
  await until('there is another one', () => host.launched.length === 4);
  t.equal((await scale(path, 2)).status, 200);
  await until('two are left', async () => (await status(path)).readyReplicas === 2 && host.running.length === 2);
  await act(path, 'stop');
  await until('it has stopped', async () => (await status(path)).status === 'stopped');
});
