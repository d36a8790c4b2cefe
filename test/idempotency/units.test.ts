import { createHash, randomUUID } from 'node:crypto';
import t from 'tap';

import type { Claim } from '../../src/audit/append.ts';
import { IdempotencyConflict } from '../../src/idempotency/errors.ts';
import { answerWrite, insertKept, WHOLE } from '../../src/idempotency/store.ts';
import { agentsFixture, CALLER } from '../agents/fixture.ts';

/** A claim as a request's, under a key of its own or a given one. */
function claimUnder<T>(name: string = randomUUID()): Claim<T> {
  const digest = createHash('sha256').update(name).digest();
  const key = { workspaceId: 'demo', scope: digest, request: digest };
  const answerOf = (value: T) => ({ status: 200, headers: {}, body: JSON.stringify(value) });
  return {
    store: async ({ trx, now }, value) => {
      if (!(await insertKept(trx, key, WHOLE, answerOf(value), now))) throw new IdempotencyConflict();
    },
    row: (value, now) => ({
      write: answerWrite,
      row: { workspaceId: 'demo', key, item: WHOLE, answer: answerOf(value), now },
    }),
  };
}

const f = await agentsFixture(t);

async function newAgent(): Promise<string> {
  return (await f.service.create('demo', { spec: { name: 'a' } }, CALLER)).agent.id;
}

async function keptRows(): Promise<number> {
  const { rows } = await f.database.query('SELECT count(*)::int AS n FROM idempotency_keys');
  return rows[0].n;
}

t.test('of units that share a transaction and a key one is kept, and the others leave nothing', async (t) => {
  const ids = await Promise.all(Array.from({ length: 5 }, newAgent));
  const before = (await f.events()).length;
  const claim = claimUnder('shared');
  const starts = ids.map((id, index) => f.start('demo', id, {}, CALLER, index < 3 ? claim : undefined));
  const outcomes = await Promise.allSettled(starts);
  const statuses = outcomes.map(({ status }) => status);
  t.same(statuses.slice(0, 3).sort(), ['fulfilled', 'rejected', 'rejected'], 'whichever is first');
  t.same(statuses.slice(3), ['fulfilled', 'fulfilled'], 'the neighbours are not disturbed');
  t.equal((await f.events()).length - before, 3);
  t.equal((await f.lists.statuses('demo', { status: 'running' })).total, 3);
  t.equal(await keptRows(), 1);
});

t.test('a brake keeps its answer without a signer, and what needs one keeps nothing', async (t) => {
  const [running, idle] = [await newAgent(), await newAgent()];
  await f.start('demo', running, {}, CALLER);
  const before = await keptRows();
  f.signer.down = true;
  await t.rejects(f.start('demo', idle, {}, CALLER, claimUnder()), { code: 'SIGNER_UNAVAILABLE' });
  t.equal(await keptRows(), before);
  t.match(await f.brakes.stop('demo', running, {}, CALLER, claimUnder()), { status: 'stopped' });
  t.equal(await keptRows(), before + 1);
  t.match((await f.events()).at(-1), { event_type: 'agent.stopped', sign_mode: 'deferred' });
});
