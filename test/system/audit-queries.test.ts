import { createHash } from 'node:crypto';
import t from 'tap';
import { verifyJson } from '../audit-verify/support/run.ts';
import fc from '../support/fast-check.ts';
import { reload } from './support/policies.ts';
import { MINUTE, openWorld, SPEC, type World } from './support/world.ts';

interface Shown {
  readonly id: string;
  readonly chain: string;
  readonly seq: number;
  readonly eventType: string;
  readonly ts: string;
  readonly actor: { readonly id: string; readonly kind: string };
  readonly payload: Record<string, unknown>;
  readonly prevHash: string;
  readonly hash: string;
  readonly signature: string;
  readonly signerId: string;
  readonly signMode: string;
  readonly body: string;
  readonly personal?: object;
}

const EVENTS = '/v1/workspaces/demo/audit/events';

/** A few agents that were created, started and stopped, by two people, minutes apart. */
async function history(world: World): Promise<string[]> {
  const ids: string[] = [];
  for (const who of ['operator', 'orchestrator', 'operator']) {
    const { body } = await world.expect(201, who, 'POST', '/v1/workspaces/demo/agents', { spec: SPEC });
    const agent = `/v1/workspaces/demo/agents/${body.id}`;
    await world.expect(200, who, 'POST', `${agent}/start`);
    world.pass(MINUTE);
    await world.expect(200, who, 'POST', `${agent}/stop`, { reason: 'enough — §7 “für heute”' });
    ids.push(body.id);
  }
  return ids;
}

t.test('events by filter and by page', async (t) => {
  const world = await openWorld(t);
  await history(world);
  const list = async (query: string): Promise<Shown[]> =>
    (await world.expect(200, 'auditor', 'GET', `${EVENTS}${query === '' ? '' : `?${query}`}`)).body.events;
  const all = await list('');

  await t.test('by seq ascending without a gap, with every member of the API form', async (t) => {
    t.same(
      all.map(({ seq }) => seq),
      all.map((_event, index) => index + 1),
    );
    for (const event of all) {
      t.same(Object.keys(event).sort(), [
        'actor',
        'body',
        'chain',
        'eventType',
        'hash',
        'id',
        'payload',
        ...(event.payload['reason'] === undefined ? [] : ['personal']),
        'prevHash',
        'seq',
        'signMode',
        'signature',
        'signerId',
        'ts',
      ]);
    }
  });

  await t.test('what people wrote stands beside what commits to it', async (t) => {
    const stops = all.filter(
      ({ eventType, payload }) => eventType === 'agent.stopped' && payload['reason'] !== undefined,
    );
    t.ok(stops.length > 0);
    for (const { personal } of stops) t.same(personal, { reason: 'enough — §7 “für heute”' });
  });

  await t.test('body is what hash covers, and says what the other members say', async (t) => {
    let previous = '0'.repeat(64);
    for (const event of all) {
      const body = Buffer.from(event.body, 'base64');
      t.equal(createHash('sha256').update(body).digest('hex'), event.hash);
      t.equal(event.prevHash, previous, 'chained');
      previous = event.hash;
      const { v, traceId, ...said } = JSON.parse(body.toString('utf8'));
      const { id, chain, seq, eventType, ts, actor, payload, prevHash, signerId } = event;
      t.same(said, { id, chain, seq, eventType, ts, actor, payload, prevHash, signerId });
      t.equal(v, 1);
      t.match(traceId ?? '0'.repeat(32), /^[0-9a-f]{32}$/);
      t.equal(event.signMode, 'event');
      t.match(event.signature, /^[A-Za-z0-9+/]{86}==$/, 'an Ed25519 signature in base64');
    }
  });

  const at = (index: number) => all[index]?.ts ?? '';
  const filters: { why: string; query: string; keep: (event: Shown) => boolean }[] = [
    { why: 'type', query: 'type=agent.stopped', keep: ({ eventType }) => eventType === 'agent.stopped' },
    { why: 'a type that did not happen', query: 'type=signer.revoked', keep: () => false },
    { why: 'actor', query: 'actor=orchestrator', keep: ({ actor }) => actor.id === 'orchestrator' },
    { why: 'an actor that is nobody', query: 'actor=nobody', keep: () => false },
    { why: 'after', query: 'after=4', keep: ({ seq }) => seq > 4 },
    { why: 'after the end', query: 'after=999999999999999', keep: () => false },
    { why: 'from, itself included', query: `from=${at(4)}`, keep: ({ ts }) => ts >= at(4) },
    { why: 'to, itself excluded', query: `to=${at(7)}`, keep: ({ ts }) => ts < at(7) },
    {
      why: 'from and to in another zone',
      query: `from=${encodeURIComponent(shifted(at(4)))}&to=${encodeURIComponent(shifted(at(7)))}`,
      keep: ({ ts }) => ts >= at(4) && ts < at(7),
    },
    {
      why: 'all of them',
      query: `type=agent.created&actor=operator&after=2&from=${at(3)}`,
      keep: ({ eventType, actor, seq, ts }) =>
        eventType === 'agent.created' && actor.id === 'operator' && seq > 2 && ts >= at(3),
    },
  ];
  for (const { why, query, keep } of filters) {
    await t.test(why, async (t) => {
      t.same(await list(query), all.filter(keep));
      t.same(await paged(world, query, 2), all.filter(keep), 'the same by pages');
    });
  }

  await t.test('pages of any size make the whole', async (t) => {
    for (const limit of [1, 3, all.length, 500]) t.same(await paged(world, '', limit), all);
  });

  await t.test('an event that comes while somebody turns pages is on a later page', async (t) => {
    const { body: first } = await world.expect(200, 'auditor', 'GET', `${EVENTS}?limit=5`);
    await world.sandboxAgent('demo');
    const { body: rest } = await world.expect(200, 'auditor', 'GET', `${EVENTS}?cursor=${first.nextCursor}&limit=5`);
    t.equal(rest.events[0].seq, 6);
    t.equal((await list(`after=${all.length}`)).length, 1);
  });

  const refused: { why: string; query: string; pointer: string }[] = [
    { why: 'an unknown filter', query: 'severity=1', pointer: '/query/severity' },
    { why: 'an unknown type', query: 'type=agent.exploded', pointer: '/query/type' },
    { why: 'no number', query: 'after=x', pointer: '/query/after' },
    { why: 'a negative one', query: 'after=-1', pointer: '/query/after' },
    { why: 'a limit of nothing', query: 'limit=0', pointer: '/query/limit' },
    { why: 'a limit above the bound', query: 'limit=501', pointer: '/query/limit' },
    { why: 'no time', query: 'from=yesterday', pointer: '/query/from' },
    { why: 'a leap second, which cannot be represented', query: 'to=2016-12-31T23:59:60Z', pointer: '/query/to' },
    { why: 'no cursor', query: 'cursor=AAAA', pointer: '/query/cursor' },
  ];
  for (const { why, query, pointer } of refused) {
    await t.test(`refused: ${why}`, async (t) => {
      const { body } = await world.expect(400, 'auditor', 'GET', `${EVENTS}?${query}`);
      t.equal(body.code, 'VALIDATION_FAILED');
      t.same([...new Set(body.errors.map((one: { pointer: string }) => one.pointer))], [pointer]);
    });
  }

  await t.test('a cursor is for its own list only', async (t) => {
    const { nextCursor } = (await world.expect(200, 'auditor', 'GET', `${EVENTS}?limit=1`)).body;
    for (const path of [
      `${EVENTS}?cursor=${nextCursor}&type=agent.stopped`,
      `/v1/workspaces/other/audit/events?cursor=${nextCursor}`,
      `/v1/audit/events?cursor=${nextCursor}`,
      `/v1/workspaces/demo/decisions?cursor=${nextCursor}`,
    ]) {
      t.equal((await world.expect(400, 'auditor', 'GET', path)).body.code, 'VALIDATION_FAILED', path);
    }
  });

  await t.test('the chain of nobody has its own list', async (t) => {
    await world.call('outsider', 'GET', '/v1/workspaces/demo/agents');
    const { events } = (await world.expect(200, 'auditor', 'GET', '/v1/audit/events?type=access.denied')).body;
    t.same([...new Set(events.map(({ chain }: Shown) => chain))], ['_system']);
    t.equal(events.length, 1);
    const all = (await world.expect(200, 'auditor', 'GET', '/v1/audit/events')).body.events;
    t.same(all.filter(({ eventType }: Shown) => eventType === 'signer.registered').length, 2);
  });
});

async function paged(world: World, query: string, limit: number): Promise<Shown[]> {
  const found: Shown[] = [];
  let cursor = '';
  do {
    const parts = [query, `limit=${limit}`, cursor].filter((part) => part !== '');
    const { body } = await world.expect(200, 'auditor', 'GET', `${EVENTS}?${parts.join('&')}`);
    found.push(...body.events);
    cursor = body.nextCursor === null ? '' : `cursor=${body.nextCursor}`;
  } while (cursor !== '');
  return found;
}

/** The same instant, written in a zone two hours ahead. */
function shifted(utc: string): string {
  return new Date(Date.parse(utc) + 7_200_000).toISOString().replace('Z', '+02:00');
}

t.test('whatever was done, in whatever order, the log verifies', async (t) => {
  const world = await openWorld(t);
  const ids: string[] = [];
  const some = (nth: number) => ids[nth % Math.max(1, ids.length)] ?? 'none';
  const agent = (nth: number, action: string, body?: unknown, who = 'kernel-admin') =>
    world.call(who, 'POST', `/v1/workspaces/demo/agents/${some(nth)}/${action}`, body);
  const policy = (action: string, body?: unknown) =>
    world.call('kernel-admin', 'POST', `/v1/workspaces/demo/policy/${action}`, body);
  const acts: Readonly<Record<string, (nth: number) => Promise<unknown>>> = {
    create: async (nth) => {
      const containment = { externalCalls: nth % 3 === 0 };
      ids.push(await world.sandboxAgent('demo', { ...SPEC, name: `agent ${nth}`, containment }, 60 + nth));
    },
    fork: (nth) => agent(nth, 'fork', { name: 'zweite “Fassung” 🦉' }),
    start: (nth) => agent(nth, 'start'),
    stop: (nth) => agent(nth, 'stop', { reason: 'é\u2028\u0001' }),
    promote: (nth) => agent(nth, 'promote', undefined, nth % 2 === 0 ? 'kernel-admin' : 'operator'),
    quarantine: (nth) => agent(nth, 'quarantine', { reason: 'odd' }),
    release: (nth) => agent(nth, 'release', { reason: 'fine' }),
    patch: (nth) =>
      world.call('operator', 'PATCH', `/v1/workspaces/demo/agents/${some(nth)}`, {
        spec: { budget: { monthlyUsd: nth / 7 } },
      }),
    remove: (nth) => world.call('operator', 'DELETE', `/v1/workspaces/demo/agents/${some(nth)}`),
    batch: () =>
      world.call('operator', 'POST', '/v1/workspaces/demo/agents:batch', {
        action: 'start',
        agentIds: ids.slice(0, 200),
      }),
    reload: (nth) => policy('hotreload', reload({ monthlyUsd: 50 + nth, revalidate: nth % 2 === 0 })),
    revalidate: () => policy('revalidate'),
    rollBack: () => policy('rollback', { version: 1 }),
    strangers: () => world.call('outsider', 'GET', '/v1/workspaces/demo/agents'),
    wrongRole: () => world.call('auditor', 'POST', '/v1/workspaces/demo/agents', { spec: SPEC }),
    later: async (nth) => world.pass(nth * 1000),
    together: (nth) => Promise.all([agent(nth, 'start'), agent(nth, 'stop'), agent(nth + 1, 'start')]),
  };
  const step = fc.record({ act: fc.constantFrom(...Object.keys(acts)), nth: fc.integer({ min: 0, max: 60 }) });
  const runs = fc.sample(fc.array(step, { minLength: 40, maxLength: 60 }), { numRuns: 2 });
  for (const steps of runs) {
    for (const { act, nth } of [{ act: 'create', nth: 1 }, ...steps]) await acts[act]?.(nth);
    const { code, report, err } = await verifyJson(['--database-url', world.database.superuserUrl]);
    t.equal(code, 0, `${err} ${JSON.stringify({ report, steps })}`);
  }
});
