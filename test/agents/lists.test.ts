import t from 'tap';

import type { AgentListView } from '../../src/agents/schema.ts';
import { agentsFixture, CALLER, type Fixture } from './fixture.ts';

async function createAll(f: Fixture, specs: readonly object[]): Promise<string[]> {
  const created = await Promise.all(specs.map((spec) => f.service.create('demo', { spec }, CALLER)));
  return created.map((one) => one.agent.id).sort();
}

async function everyPage(f: Fixture, query: Parameters<Fixture['lists']['agents']>[1]): Promise<AgentListView[]> {
  const pages = [await f.lists.agents('demo', query)];
  for (let cursor = pages[0]?.nextCursor; cursor; cursor = pages.at(-1)?.nextCursor) {
    pages.push(await f.lists.agents('demo', { ...query, cursor }));
  }
  return pages;
}

t.test('pages hold each agent once, by id', async (t) => {
  const f = await agentsFixture(t);
  const ids = await createAll(
    f,
    Array.from({ length: 7 }, (_, n) => ({ name: `agent ${n}` })),
  );
  for (const query of [{ limit: 3 }, { limit: 3, search: 'agent' }, { limit: 7 }]) {
    const pages = await everyPage(f, query);
    t.strictSame(
      pages.flatMap((page) => page.agents.map((agent) => agent.id)),
      ids,
    );
    t.ok(pages.every((page) => page.total === 7));
    t.equal(pages.length, query.limit === 7 ? 1 : 3);
  }
  const { nextCursor } = await f.lists.agents('demo', { limit: 2 });
  const cursor = nextCursor ?? '';
  await t.rejects(f.lists.agents('demo', { limit: 2, search: 'x', cursor }), { code: 'VALIDATION_FAILED' });
  await t.rejects(f.lists.agents('other', { limit: 2, cursor }), { code: 'VALIDATION_FAILED' });
  await t.rejects(f.lists.agents('demo', { cursor: 'AAAA' }), { code: 'VALIDATION_FAILED' });
  await t.rejects(f.lists.agents('nowhere', {}), { code: 'NOT_FOUND' });
});

t.test('search finds exactly what is typed, in any case', async (t) => {
  const f = await agentsFixture(t);
  await createAll(f, [
    { name: '100% sure' },
    { name: 'snake_case' },
    { name: 'snakeXcase' },
    { name: 'back\\slash' },
    { name: 'ÜBER-Agent' },
    { name: 'ΟΔΟΣΑ' },
    { name: 'A\u0308ther' },
    { name: 'quote\'s "n" \u{1f600}' },
  ]);
  const found = async (search: string) =>
    (await f.lists.agents('demo', { search })).agents.map((agent) => agent.name).sort();
  t.strictSame(await found('%'), ['100% sure']);
  t.strictSame(await found('_'), ['snake_case']);
  t.strictSame(await found('E_C'), ['snake_case']);
  t.strictSame(await found('\\'), ['back\\slash']);
  t.strictSame(await found('über-a'), ['ÜBER-Agent']);
  t.strictSame(await found('οδος'), ['ΟΔΟΣΑ']);
  t.strictSame(await found('äTHER'), ['A\u0308ther']);
  t.strictSame(await found('\u{1f600}'), ['quote\'s "n" \u{1f600}']);
  t.strictSame(await found(`'; DROP TABLE agents; --`), []);
  t.equal((await found('')).length, 8, 'nothing typed finds all');
});

t.test('filters and totals', async (t) => {
  const f = await agentsFixture(t);
  const ids = await createAll(f, [
    { name: 'a', capabilities: ['search'] },
    { name: 'b', capabilities: ['search', 'summarize'] },
    { name: 'c' },
  ]);
  const [first = '', second = ''] = ids;
  await f.start('demo', first, {}, CALLER);
  await f.brakes.quarantine('demo', second, 'odd', CALLER);
  t.match(await f.lists.agents('demo', { capability: 'search' }), { total: 2 });
  t.match(await f.lists.agents('demo', { capability: 'sear' }), { total: 0, agents: [] });
  t.match(await f.lists.agents('demo', { status: 'running' }), { total: 1, agents: [{ id: first }] });
  t.match(await f.lists.agents('demo', { status: 'quarantined', mode: 'sandbox' }), {
    total: 1,
    agents: [{ id: second }],
  });
  t.match(await f.lists.agents('demo', { mode: 'governed' }), { total: 0, agents: [] });
  t.match(await f.lists.agents('demo', { search: 'b', status: 'failed' }), { total: 0, agents: [] });
  await f.service.remove('demo', second, CALLER);
  t.match(await f.lists.agents('demo', {}), { total: 2 });
  t.notOk('totalIsLowerBound' in (await f.lists.agents('demo', { search: 'a' })));
});

t.test('a filtered total ends at ten thousand', async (t) => {
  const f = await agentsFixture(t);
  await f.database.query(
    `INSERT INTO agents (workspace_id, id, name, name_folded, mode, status, spec_version, spec_hash, capabilities, managed,
       since, created_at, created_by, updated_at)
     SELECT 'demo', gen_random_uuid(), 'mass', 'mass', 'sandbox', 'stopped', 1, 'x', '{}', false, now(), now(), 'x', now()
     FROM generate_series(1, 10001)`,
  );
  t.match(await f.lists.agents('demo', { search: 'mass', limit: 1 }), { total: 10_000, totalIsLowerBound: true });
  t.match(await f.lists.agents('demo', { limit: 1 }), { total: 10_001, agents: [{ spec: null }] });
  t.notOk('totalIsLowerBound' in (await f.lists.agents('demo', { limit: 1 })));
});

t.test('a page of large specs is cut, not refused', async (t) => {
  const f = await agentsFixture(t);
  const instructions = 'x'.repeat(131_072);
  const labels = Object.fromEntries(Array.from({ length: 60 }, (_, n) => [`k${n}`, 'y'.repeat(256)]));
  const ids = await createAll(
    f,
    Array.from({ length: 35 }, (_, n) => ({ name: `big ${n}`, instructions, labels })),
  );
  const pages = await everyPage(f, { limit: 500 });
  t.ok(pages.length > 1, 'more than one page');
  t.strictSame(
    pages.flatMap((page) => page.agents.map((agent) => agent.id)),
    ids,
  );
});

t.test('run states by page and by cursor', async (t) => {
  const f = await agentsFixture(t);
  const ids = await createAll(
    f,
    Array.from({ length: 5 }, (_, n) => ({ name: `a${n}` })),
  );
  const page = await f.lists.statuses('demo', { page: 2, limit: 2 });
  t.match(page, { agents: [{ agentId: ids[2] }, { agentId: ids[3] }], total: 5 });
  t.match(await f.lists.statuses('demo', { limit: 2, cursor: page.nextCursor ?? '' }), {
    agents: [{ agentId: ids[4] }],
    nextCursor: null,
  });
  t.match(await f.lists.statuses('demo', { page: 4, limit: 2 }), { agents: [], nextCursor: null, total: 5 });
  t.strictSame(page.agents[0], {
    agentId: ids[2],
    mode: 'sandbox',
    status: 'stopped',
    managed: false,
    desiredReplicas: 0,
    readyReplicas: 0,
    since: new Date(f.time.now).toISOString(),
  });
  await t.rejects(f.lists.statuses('demo', { page: 1, cursor: page.nextCursor ?? '' }), { code: 'VALIDATION_FAILED' });
});
