import { createHmac } from 'node:crypto';
import t from 'tap';

import type { Lookup, PreparedUnit, Unit } from '../../src/audit/append.ts';
import { sealEvent } from '../../src/audit/event.ts';
import { EVENT_TYPES, type EventType } from '../../src/audit/event-types.ts';
import { commit, personalMembers } from '../../src/audit/personal.ts';
import { auditBench, type Bench } from './support.ts';

const actor = { id: 'ann', kind: 'human' } as const;
const AT = { chain: 'alpha', seq: 1, prevHash: '0'.repeat(64) };
const STAMP = { id: '01934c3e-6c00-7000-8000-000000000001', ts: '2026-11-21T09:00:00.000Z', signerId: null };

function stop(chain: string, reason?: string): Unit<number> {
  const payload = { agentId: chain, ...(reason === undefined ? {} : { reason }) };
  return { chain, work: async ({ append }) => append({ type: 'agent.stopped', actor, payload }).seq };
}

const nothing: Lookup<never> = { read: async () => new Map<string, never>() };

/** A unit without statements of its own. */
function prepared(reason: string, fails: boolean): PreparedUnit<void, never> {
  return {
    chain: 'alpha',
    lookup: nothing,
    key: reason,
    decide: ({ append }) => {
      append({ type: 'agent.stopped', actor, payload: { agentId: 'x', reason } });
      if (fails) throw new Error('no');
    },
  };
}

async function kept(bench: Bench) {
  const { rows } = await bench.database.query(
    `SELECT p.chain, p.seq::int AS seq, p.member, p.value, p.actor_id, encode(p.salt, 'hex') AS salt, e.payload, e.body
     FROM audit_personal p JOIN audit_events e USING (chain, seq) ORDER BY 1, 2`,
  );
  return rows;
}

t.test(
  'what people write is a commitment in the body: every reason but the one that we give for a refusal',
  async (t) => {
    for (const [type, { properties }] of Object.entries(EVENT_TYPES)) {
      const expected = 'reason' in properties && type !== 'access.denied' ? ['reason'] : [];
      t.strictSame(personalMembers(type as EventType), expected, type);
    }
  },
);

t.test('a commitment binds the text, and tells nothing of it', async (t) => {
  const event = { type: 'agent.stopped', actor, payload: { agentId: 'a', reason: 'Zoë asked' } } as const;
  const [one, other] = [sealEvent(event, AT, STAMP), sealEvent(event, AT, STAMP)];
  t.notOk(one.body.includes('Zoë'));
  t.not(one.hash, other.hash, 'the same text twice is two commitments');
  const [personal] = one.personal;
  t.match(personal, { member: 'reason', value: 'Zoë asked' });
  t.equal(personal?.salt.length, 32);
  const c = createHmac('sha256', personal?.salt ?? '')
    .update('Zoë asked')
    .digest('hex');
  t.strictSame(JSON.parse(one.body.toString()).payload, { agentId: 'a', reason: { c } });
});

t.test('an optional member that is absent, and a type without any, stay as they are', async (t) => {
  const payload = { agentId: 'a' };
  t.strictSame(commit('agent.stopped', payload), { payload, personal: [] });
  t.equal(commit('agent.expired', payload).payload, payload);
});

t.test('text that cannot be kept is refused, not changed', async (t) => {
  for (const reason of ['a\0b', 'a\ud800b', 'é'.repeat(4097), 7]) {
    t.throws(() => commit('agent.stopped', { agentId: 'a', reason }), RangeError);
  }
  t.doesNotThrow(() => commit('agent.stopped', { agentId: 'a', reason: 'é'.repeat(4096) }));
});

t.test('values are stored with their events, of several chains at once', async (t) => {
  const bench = await auditBench(t, ['alpha', 'beta']);
  const audit = bench.replica();
  await Promise.all([
    audit.commit(stop('alpha', 'one')),
    audit.commit(stop('beta', 'two')),
    audit.commit(stop('alpha')),
    audit.commit(stop('alpha', '')),
  ]);
  const rows = await kept(bench);
  t.strictSame(
    rows.map(({ chain, seq, member, value, actor_id }) => [chain, seq, member, value, actor_id]),
    [
      ['alpha', 1, 'reason', 'one', 'ann'],
      ['alpha', 3, 'reason', '', 'ann'],
      ['beta', 1, 'reason', 'two', 'ann'],
    ],
  );
  for (const { payload, value, salt, body } of rows) {
    const c = createHmac('sha256', Buffer.from(salt, 'hex')).update(value).digest('hex');
    t.strictSame(payload.reason, { c });
    t.strictSame(JSON.parse(body.toString()).payload, payload);
  }
});

t.test('a unit that is taken back leaves no value', async (t) => {
  const bench = await auditBench(t, ['alpha']);
  const audit = bench.replica();
  const failing: Unit<number> = {
    chain: 'alpha',
    work: async (scope) => {
      scope.append({ type: 'agent.stopped', actor, payload: { agentId: 'x', reason: 'never happened' } });
      throw new Error('no');
    },
  };
  const outcomes = await Promise.allSettled([
    audit.commit(stop('alpha', 'first')),
    audit.commit(failing),
    audit.commit(prepared('prepared', false)),
    audit.commit(prepared('never decided', true)),
    audit.commit(stop('alpha', 'last')),
  ]);
  t.equal(outcomes.filter(({ status }) => status === 'rejected').length, 2);
  const rows = await kept(bench);
  t.same(rows.map(({ value }) => value).sort(), ['first', 'last', 'prepared']);
  const { rows: all } = await bench.database.query('SELECT count(*)::int AS n FROM audit_personal');
  t.equal(all[0].n, rows.length, 'none without its event');
});

t.test('what is written without a signer is kept as well', async (t) => {
  const bench = await auditBench(t, ['alpha']);
  bench.signer.broken = true;
  await bench.replica().commit({ ...stop('alpha', 'at once'), brake: true });
  t.match(await kept(bench), [{ seq: 1, value: 'at once' }]);
});

t.test('a unit that must find what others leave has its transaction to itself', async (t) => {
  const bench = await auditBench(t, ['alpha']);
  const audit = bench.replica();
  const counting: Unit<number> = {
    chain: 'alpha',
    alone: true,
    work: async ({ trx }) => (await trx.selectFrom('audit_personal').select('seq').execute()).length,
  };
  const [, , , seen] = await Promise.all([
    audit.commit(stop('alpha', 'a')),
    audit.commit(stop('alpha', 'b')),
    audit.commit(stop('alpha', 'c')),
    audit.commit(counting),
    audit.commit(stop('alpha', 'd')),
  ]);
  t.equal(seen, 3);
});
