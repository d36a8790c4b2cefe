import { Type } from '@sinclair/typebox';
import Fastify from 'fastify';
import fastifyPlugin from 'fastify-plugin';
import t from 'tap';

import type { AuditAppender, UnitScope } from '../../src/audit/append.ts';
import { CodedError } from '../../src/errors.ts';
import { problemPlugin } from '../../src/http/problem.ts';
import { claimOf, itemsOf } from '../../src/idempotency/keyed-request.ts';
import { idempotencyPlugin } from '../../src/idempotency/plugin.ts';
import { ANYONE } from '../http/fixture.ts';
import { testDatabase, testStorage } from '../support/database.ts';
import { inside } from '../support/inside.ts';

/** Characters; more than is kept. */
const TOO_LARGE = 1_100_000;

class Denied extends CodedError {
  readonly code = 'ADMISSION_DENIED';
}

const storage = testStorage(t, await testDatabase(t));
let commits = 0;

/** Units in transactions of their own, without chains. */
const audit: AuditAppender = {
  commit: async (unit) => {
    if (!('work' in unit)) throw new Error('no prepared unit is expected');
    commits += 1;
    const append: UnitScope['append'] = () => {
      throw new Error('no event is expected');
    };
    return inside(storage, unit.chain, async (trx) => {
      const now = Date.now();
      const value = await unit.work({ trx, now, append });
      await unit.claim?.store({ trx, now }, value);
      return value;
    });
  },
  close: async () => undefined,
};

const app = Fastify();
t.teardown(() => app.close());
await app.register(
  fastifyPlugin(async (it) => void it.decorateRequest('principal', { getter: () => ANYONE }), { name: 'identity' }),
);
await app.register(fastifyPlugin(async (it) => void it.decorate('storage', storage), { name: 'storage' }));
app.decorate('audit', audit);
await app.register(problemPlugin, { random: () => 0 });
await app.register(idempotencyPlugin, { clock: Date.now, random: () => 0 });

const schema = { response: { 200: Type.Object({ text: Type.String() }) } };
let runs = 0;
const done: string[] = [];

/** What a handler answers with: more members than the schema shows. */
const answer = (text: string) => ({ text, hidden: 'not for callers' });

function counted() {
  runs += 1;
  return answer(`run ${runs}`);
}

app.post('/alone', { schema }, async () => counted());
app.post('/unit', { schema }, (request) =>
  app.audit.commit({ chain: '_system', claim: claimOf(request), work: async () => counted() }),
);
app.post<{ Body: { final: number } }>('/steps', { schema }, async (request) => {
  await app.audit.commit({ chain: '_system', claim: claimOf(request), work: async () => answer('begun') });
  return answer('x'.repeat(request.body.final));
});
app.post('/parts', { schema }, async (request) => {
  const items = itemsOf<{ done: string }>(request);
  if (items?.find('part') === undefined) {
    const work = async () => ({ done: String(done.push('part')) });
    await app.audit.commit({ chain: '_system', claim: items?.claim('part'), work });
  }
  return answer('x'.repeat(TOO_LARGE));
});
app.post('/denied', { schema }, async () => {
  runs += 1;
  throw new Denied('no', { members: { decisionId: `decision ${runs}` } });
});
app.post('/refused', { schema }, async () => {
  runs += 1;
  throw new Denied('no');
});

async function post(url: string, payload: object = {}) {
  const { statusCode, body, headers } = await app.inject({
    method: 'POST',
    url,
    payload,
    headers: { 'idempotency-key': 'one' },
  });
  return { status: statusCode, body, replayed: headers['idempotent-replayed'] === 'true' };
}

/** Both answers to the same request, how often its handler ran, and how often it committed. */
async function twice(url: string, payload?: object) {
  runs = 0;
  commits = 0;
  const first = await post(url, payload);
  const commitsOfFirst = commits;
  return { first, commitsOfFirst, again: await post(url, payload), commits: commits - commitsOfFirst, runs };
}

t.test('an answer that no unit has kept is kept in one of its own', async (t) => {
  const { first, again, runs, commitsOfFirst, commits } = await twice('/alone');
  t.same(first, { status: 200, body: '{"text":"run 1"}', replayed: false });
  t.same(again, { ...first, replayed: true });
  t.same([runs, commitsOfFirst, commits], [1, 1, 0]);
});

t.test('an answer that its unit has kept costs no further one', async (t) => {
  const { first, again, runs, commitsOfFirst, commits } = await twice('/unit');
  t.same(first, { status: 200, body: '{"text":"run 1"}', replayed: false });
  t.same(again, { ...first, replayed: true });
  t.same([runs, commitsOfFirst, commits], [1, 1, 0]);
});

t.test('the final answer takes the place of the early one', async (t) => {
  const { first, again, commitsOfFirst } = await twice('/steps', { final: 3 });
  t.same(first, { status: 200, body: '{"text":"xxx"}', replayed: false });
  t.same(again, { ...first, replayed: true });
  t.equal(commitsOfFirst, 2);
});

t.test('a final answer too large to be kept is not sent either', async (t) => {
  const { statusCode, body } = await app.inject({
    method: 'POST',
    url: '/steps',
    payload: { final: TOO_LARGE },
    headers: { 'idempotency-key': 'large' },
  });
  t.equal(statusCode, 200);
  t.equal(body, '{"text":"begun"}');
});

t.test('an answer too large, made of parts: the parts are kept', async (t) => {
  const { first, again } = await twice('/parts');
  t.equal(first.status, 200);
  t.notOk(again.replayed);
  t.equal(again.body, first.body);
  t.same(done, ['part'], 'nothing was done twice');
});

t.test('a denial in the ledger is kept, any other refusal is not', async (t) => {
  const denied = await twice('/denied');
  t.match(denied.first, { status: 403, body: /"decisionId":"decision 1"/ });
  t.same(denied.again, { ...denied.first, replayed: true });
  t.equal(denied.runs, 1);
  const refused = await twice('/refused');
  t.match([refused.first, refused.again], [{ status: 403 }, { status: 403, replayed: false }]);
  t.equal(refused.runs, 2);
});
