import t from 'tap';

import { newId } from '../../src/ids.ts';
import { createOutcomes } from '../../src/supervisor/outcomes.ts';
import { isolationOf, scriptedHost } from './scripted.ts';
import { supervisedWorld, until } from './world.ts';

// Two replicas of the service over one database. The test makes the rounds itself.
const JOBS = ['supervision', 'agent-logs'] as const;
const first = { host: scriptedHost() };
const second = { host: scriptedHost() };
const isolation = isolationOf(first.host);
const world = await supervisedWorld(t, isolation, { withoutJobs: JOBS });
const other = await supervisedWorld(t, isolationOf(second.host), { replicaOf: world, withoutJobs: JOBS });
const { act, agent, database, events, status } = world;
const round = async (of: typeof world) => of.service.app.supervisor?.round();

async function untilAfterRounds(
  of: typeof world,
  what: string,
  holds: () => boolean | Promise<boolean>,
): Promise<number> {
  return until(what, async () => {
    await round(of);
    return holds();
  });
}

const idOf = (path: string) => path.split('/').at(-1) ?? '';
const holder = async (path: string) =>
  (await database.query('SELECT supervisor_id, token::int FROM agent_claims WHERE agent_id = $1', [idOf(path)]))
    .rows[0];

t.test('an agent is run by one replica alone', async (t) => {
  const path = await agent();
  await act(path, 'start');
  await until('it runs', async () => {
    await Promise.all([round(world), round(other)]);
    return (await status(path)).status === 'running';
  });
  t.match(await status(path), { readyReplicas: 1 });
  t.equal(first.host.running.length + second.host.running.length, 1);
  t.equal((await events(path, 'agent.launched')).length, 1);
  await act(path, 'stop');
  await until('it has stopped', async () => {
    await Promise.all([round(world), round(other)]);
    return (await status(path)).status === 'stopped';
  });
});

t.test('the agents of a replica that is gone are another one soon, through admission', async (t) => {
  const path = await agent();
  await act(path, 'start');
  await untilAfterRounds(world, 'it runs', async () => (await status(path)).status === 'running');
  const before = await holder(path);
  await round(other);
  t.same(await holder(path), before, 'nobody takes what is held');
  // The first makes no more rounds, as if its machine were lost.
  const ms = await untilAfterRounds(other, 'it was taken over', () => second.host.running.length === 1);
  t.ok(ms < 6000, `${Math.round(ms)} ms`);
  t.ok(Number((await holder(path))?.token) > Number(before?.token), 'a later claim has a higher token');
  t.equal(first.host.running.length, 0, 'the first has ended its own before');
  const [old] = first.host.launched.slice(-1);
  const [fresh] = second.host.running;
  t.ok(old?.isOver && fresh !== undefined);
  t.equal((await events(path, 'agent.launched')).length, 2);
  await untilAfterRounds(other, 'its figures are right', async () => (await status(path)).readyReplicas === 1);
  // It comes back, and has nothing any more.
  await round(world);
  await round(world);
  t.equal(first.host.running.length, 0);
  await act(path, 'stop');
  await untilAfterRounds(other, 'it has stopped', async () => (await status(path)).status === 'stopped');
});

/** It is gone, and does not know it. */
const loseLeases = () => database.query('UPDATE supervisors SET lease_until = clock_timestamp()');

t.test('what a replica took with it is written down once, before it is launched again', async (t) => {
  const path = await agent();
  await act(path, 'start');
  await untilAfterRounds(world, 'it runs', async () => (await status(path)).status === 'running');
  const before = await status(path);
  const [launched] = await events(path, 'agent.launched');
  await loseLeases();
  await untilAfterRounds(other, 'it was taken over', () => second.host.running.length === 1);
  const after = await status(path);
  t.match(after, { lastExit: { cause: 'lost', exitCode: null, signal: null } });
  t.ok(after.since > before.since);
  await untilAfterRounds(other, 'it runs again', async () => (await status(path)).status === 'running');
  // The first comes back, ends what it had, and has nothing to say about it.
  await untilAfterRounds(world, 'it has noticed', () => first.host.running.length === 0);
  const launchId = launched?.['launchId'];
  t.match(await events(path, 'agent.launched', 'agent.exited'), [
    { type: 'agent.launched', launchId },
    { type: 'agent.exited', cause: 'lost', exitCode: null, signal: null, replica: 0, launchId },
    { type: 'agent.launched' },
  ]);
  t.equal((await events(path, 'agent.launched', 'agent.exited')).length, 3);
  await act(path, 'stop');
  await untilAfterRounds(other, 'it has stopped', async () => (await status(path)).status === 'stopped');
  t.match(await events(path, 'agent.exited'), [{ cause: 'lost' }, { cause: 'stopped' }]);
  t.same((await database.query('SELECT FROM agent_launches')).rows, []);
});

t.test('what was lost of an agent that nobody starts again is written down once, whoever finds it', async (t) => {
  const path = await agent();
  await act(path, 'start');
  await untilAfterRounds(world, 'it runs', async () => (await status(path)).status === 'running');
  await act(path, 'quarantine', { reason: 'odd' });
  const { since } = await status(path);
  await loseLeases();
  await untilAfterRounds(other, 'it is written down', async () => (await events(path, 'agent.exited')).length > 0);
  t.match(await status(path), { status: 'quarantined', since, lastExit: { cause: 'lost' } });
  await untilAfterRounds(world, 'the first has noticed', () => first.host.running.length === 0);
  t.match(await events(path, 'agent.exited'), [{ cause: 'lost' }]);
  t.equal((await events(path, 'agent.exited')).length, 1);
});

t.test('of two replicas that write a loss down at once, one does', async (t) => {
  const path = await agent();
  const agentId = idOf(path);
  for (const replica of [0, 1]) {
    await database.query(`INSERT INTO agent_launches VALUES ('demo', $1, $2, $3, 1)`, [agentId, newId(), replica]);
  }
  const writers = [world, other, world, other].map(({ service }) => createOutcomes({ audit: service.app.audit }));
  await Promise.all(writers.map(({ lost }) => lost({ workspaceId: 'demo', agentId })));
  t.match(await events(path, 'agent.exited'), [
    { cause: 'lost', replica: 0 },
    { cause: 'lost', replica: 1 },
  ]);
  t.equal((await events(path, 'agent.exited')).length, 2);
  t.match(await status(path), { status: 'stopped', lastExit: { cause: 'lost' } });
});

t.test('what a lost machine had claimed is free when its lease ends', async (t) => {
  const path = await agent();
  const lost = newId();
  await database.query(`INSERT INTO supervisors VALUES ($1, clock_timestamp() + interval '5 s', clock_timestamp())`, [
    lost,
  ]);
  await database.query(`INSERT INTO agent_claims VALUES ('demo', $1, $2, nextval('agent_claim_tokens'))`, [
    idOf(path),
    lost,
  ]);
  await act(path, 'start');
  const ms = await untilAfterRounds(other, 'it was taken over', async () => (await status(path)).status === 'running');
  t.ok(ms > 3000 && ms < 6000, `${Math.round(ms)} ms`);
  await act(path, 'stop');
  await untilAfterRounds(other, 'it has stopped', async () => (await status(path)).status === 'stopped');
});

t.test('a replica that cannot isolate leaves agents to another', async (t) => {
  const path = await agent();
  await act(path, 'start');
  await untilAfterRounds(world, 'it runs', async () => (await status(path)).status === 'running');
  isolation.setState({ available: false, problem: { check: 'namespaces', observed: 'none', fix: 'allow them' } });
  first.host.running[0]?.exit({ exitCode: 1 });
  const taken = async () => {
    await round(world);
    return second.host.running.length === 1;
  };
  await untilAfterRounds(other, 'it runs elsewhere', taken);
  t.equal(first.host.running.length, 0);
  isolation.setState({ available: true, limits: 'enforced', version: '0' });
  await act(path, 'stop');
  await untilAfterRounds(other, 'it has stopped', async () => (await status(path)).status === 'stopped');
});

t.test('a claim that is lost is noticed, and ends what ran under it', async (t) => {
  const path = await agent();
  await act(path, 'start');
  await untilAfterRounds(world, 'it runs', async () => (await status(path)).status === 'running');
  const [mine] = first.host.running;
  await database.query('UPDATE agent_claims SET token = nextval($1) WHERE agent_id = $2', [
    'agent_claim_tokens',
    idOf(path),
  ]);
  await untilAfterRounds(world, 'it has ended', () => mine?.isOver === true);
  await untilAfterRounds(world, 'it runs under the new one', () => first.host.running.length === 1);
  const [again] = first.host.running;
  await database.query('DELETE FROM supervisors');
  await untilAfterRounds(world, 'without its row it has nothing', () => again?.isOver === true);
  t.equal((await events(path, 'agent.exited'))[0]?.['cause'], 'stopped');
  await act(path, 'stop');
  await untilAfterRounds(world, 'it has stopped', async () => (await status(path)).status === 'stopped');
});

t.test('who closes lets others claim at once', async (t) => {
  const path = await agent();
  await act(path, 'start');
  await untilAfterRounds(world, 'it runs', async () => (await status(path)).status === 'running');
  const before = first.host.running.length;
  t.ok(before > 0);
  await world.service.close();
  t.equal(first.host.running.length, 0);
  await untilAfterRounds(other, 'it goes on elsewhere', () => second.host.running.length === before);
  const answer = await other.status(path);
  t.equal(answer.status, 'running', 'what is wanted stays');
});
