import { randomUUID, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

import { verifyHere } from '../audit-verify/support/run.ts';
import { until } from '../support/process.ts';
import { type Answer, testService } from '../support/service.ts';

/** ms; by then the lock counts on every replica. */
const EVERYWHERE_WITHIN = 5000;
const LOCKS = '/v1/access/locks';
const AGENTS = '/v1/workspaces/demo/agents';

const here = await testService(t);
const there = await testService(t, { replicaOf: here });

const serialOf = (who: string) => new X509Certificate(readFileSync(join(here.certsDir, `${who}.crt`))).serialNumber;

async function place(body: object, status = 201, who = 'kernel-admin', headers = {}): Promise<Answer> {
  const answer = await here.call(who, 'POST', LOCKS, { reason: 'lost laptop', ...body }, headers);
  t.equal(answer.status, status, answer.text);
  return answer;
}

async function release(lockId: string): Promise<Answer> {
  const answer = await here.call('kernel-admin', 'DELETE', `${LOCKS}/${lockId}`, { reason: 'found again' });
  t.equal(answer.status, 200, answer.text);
  return answer;
}

async function statusEverywhere(who: string, status: number): Promise<void> {
  // A lock may end the very connection that asks.
  const asked = async () => (await there.call(who, 'GET', AGENTS).catch(() => undefined))?.status === status;
  await until(`${who} gets ${status} on the other replica`, asked, EVERYWHERE_WITHIN);
}

const newest = async (types: readonly string[]) =>
  (
    await here.database.query(
      `SELECT event_type, payload, sign_mode, seq::int FROM audit_events
       WHERE chain = '_system' AND event_type = ANY($1) ORDER BY seq DESC LIMIT 1`,
      [types],
    )
  ).rows[0];

t.test('a principal is locked out here at once, on another replica soon, and comes back', async (t) => {
  t.equal((await here.call('operator', 'GET', AGENTS)).status, 200);
  const { body } = await place({ principalId: 'operator' });
  t.match(body, { principalId: 'operator', state: 'active', placedBy: 'kernel-admin', reason: 'lost laptop' });
  t.notOk('serial' in body || 'expiresAt' in body);
  const refused = await here.call('operator', 'GET', AGENTS);
  t.match(refused, { status: 401, body: { code: 'UNAUTHENTICATED' } });
  t.equal(refused.headers['connection'], 'close');
  await statusEverywhere('operator', 401);
  t.equal((await there.call('orchestrator', 'GET', AGENTS)).status, 200, 'nobody else');
  t.match(await newest(['access.lock.placed']), {
    seq: body.auditEvent.seq,
    payload: { lockId: body.lockId, kind: 'principal', principalId: 'operator', reason: { c: /^[0-9a-f]{64}$/ } },
    sign_mode: 'event',
  });
  t.match(await newest(['access.denied']), { payload: { reason: 'PRINCIPAL_LOCKED', code: 'UNAUTHENTICATED' } });

  const { body: released } = await release(body.lockId);
  t.match(released, { lockId: body.lockId, auditEvent: { chain: '_system' } });
  t.equal((await here.call('operator', 'GET', AGENTS)).status, 200);
  await statusEverywhere('operator', 200);
  t.match(await newest(['access.lock.released']), { payload: { lockId: body.lockId } });
  t.equal((await here.call('kernel-admin', 'DELETE', `${LOCKS}/${body.lockId}`, { reason: 'twice' })).status, 404);
  t.equal((await here.call('kernel-admin', 'GET', `${LOCKS}/${body.lockId}`)).status, 404);
});

t.test('a certificate is locked by its serial number, in any spelling', async (t) => {
  const serial = serialOf('operator');
  const colons = serial.toLowerCase().replace(/(..)(?=.)/g, '$1:');
  const spellings = [serial, serial.toLowerCase(), `00${serial}`, colons];
  for (const spelling of spellings) {
    const { body } = await place({ serial: spelling });
    t.equal(body.serial, serial.replace(/^0+/, ''));
    t.equal((await here.call('operator', 'GET', AGENTS)).status, 401, spelling);
    t.match(await newest(['access.denied']), { payload: { reason: 'CERTIFICATE_REVOKED' } });
    t.equal((await here.call('kernel-admin', 'GET', AGENTS)).status, 200);
    await release(body.lockId);
    t.equal((await here.call('operator', 'GET', AGENTS)).status, 200);
  }
});

t.test('the longest serial number that is taken is kept', async (t) => {
  for (const serial of ['A'.repeat(42), Array(21).fill('FF').join(':')]) {
    const { body } = await place({ serial });
    t.equal(body.serial, serial.replaceAll(':', ''));
    await release(body.lockId);
  }
});

/** What a database has lost that takes over for another, or was restored. */
async function rollBackTo(revision: unknown): Promise<void> {
  const { query } = here.database;
  await query('ALTER TABLE access_locks DISABLE TRIGGER access_locks_changed');
  await query('DELETE FROM access_locks');
  await query('ALTER TABLE access_locks ENABLE TRIGGER access_locks_changed');
  await query('UPDATE access_lock_revision SET revision = $1', [revision]);
}

t.test('the locks are those of the database, also where it is at an earlier revision', async (t) => {
  await place({ principalId: 'operator' });
  await statusEverywhere('operator', 401);
  await rollBackTo(1);
  await statusEverywhere('operator', 200);
  await until('here too', async () => (await here.call('operator', 'GET', AGENTS)).status === 200, EVERYWHERE_WITHIN);
  t.equal((await here.call('kernel-admin', 'GET', LOCKS)).body.locks.length, 0);
});

t.test('a lock counts that was placed after a standby took over, which had lost the one before', async (t) => {
  const { rows } = await here.database.query('SELECT revision FROM access_lock_revision');
  await place({ principalId: 'orchestrator' });
  await Promise.all([here, there].map(({ service }) => service.app.refreshLocks()));
  await rollBackTo(rows[0]?.['revision']);
  const { body } = await place({ principalId: 'operator' });
  t.equal((await here.call('operator', 'GET', AGENTS)).status, 401);
  await statusEverywhere('operator', 401);
  await statusEverywhere('orchestrator', 200);
  await release(body.lockId);
  await statusEverywhere('operator', 200);
});

t.test('of two locks on one principal the longer counts', async (t) => {
  const short = await place({ principalId: 'operator', expiresAt: new Date(Date.now() + 60_000).toISOString() });
  const long = await place({ principalId: 'operator' });
  await release(short.body.lockId);
  t.equal((await here.call('operator', 'GET', AGENTS)).status, 401);
  await release(long.body.lockId);
  t.equal((await here.call('operator', 'GET', AGENTS)).status, 200);
});

t.test('a lock that has expired counts no more, and is shown as such', async (t) => {
  const { body } = await place({ principalId: 'operator', expiresAt: new Date(Date.now() + 1500).toISOString() });
  t.equal((await here.call('operator', 'GET', AGENTS)).status, 401);
  await until('expired', async () => (await here.call('operator', 'GET', AGENTS)).status === 200, 5000);
  await statusEverywhere('operator', 200);
  const { body: shown } = await here.call('kernel-admin', 'GET', `${LOCKS}/${body.lockId}`);
  t.match(shown, { ...body, state: 'expired' });
  await release(body.lockId);
});

t.test('what cannot be locked', async (t) => {
  for (const body of [
    {},
    { serial: '01', principalId: 'operator' },
    { serial: '' },
    { serial: 'xyz' },
    { serial: '0x12' },
    { serial: 'a'.repeat(43) },
    { principalId: 'with blank' },
    { principalId: 'operator', expiresAt: 'tomorrow' },
    { principalId: 'operator', expiresAt: '2026-02-30T00:00:00Z' },
    { principalId: 'operator', until: '2030-01-01T00:00:00Z' },
    { principalId: 'operator', reason: '' },
  ]) {
    const { body: problem } = await place(body, 400);
    t.equal(problem.code, 'VALIDATION_FAILED', JSON.stringify(body));
  }
  t.match((await place({ principalId: 'kernel-admin' }, 409)).body, { code: 'CONFLICT' });
  t.match((await place({ serial: serialOf('kernel-admin') }, 409)).body, { code: 'CONFLICT' });
  t.match((await place({ principalId: 'x', expiresAt: '2020-01-01T00:00:00Z' }, 422)).body, { code: 'UNPROCESSABLE' });
  t.equal((await here.call('kernel-admin', 'DELETE', `${LOCKS}/${randomUUID()}`, {})).status, 400, 'a reason');
  t.equal((await here.call('kernel-admin', 'DELETE', `${LOCKS}/nothing`, { reason: 'x' })).status, 404);
  t.equal((await here.call('kernel-admin', 'GET', `${LOCKS}/nothing`)).status, 404);
});

t.test('who may lock, and who may look', async (t) => {
  const lock = { principalId: 'somebody', reason: 'x' };
  for (const who of ['operator', 'orchestrator', 'kernel-approver', 'auditor', 'agent', 'outsider']) {
    t.equal((await here.call(who, 'POST', LOCKS, lock)).status, 403, who);
  }
  t.equal((await here.call('auditor', 'GET', LOCKS)).status, 200);
  for (const who of ['operator', 'kernel-approver']) t.equal((await here.call(who, 'GET', LOCKS)).status, 403, who);
});

t.test('the list, page by page', async (t) => {
  const placed: string[] = [];
  for (let n = 0; n < 5; n += 1) placed.push((await place({ principalId: `nobody-${n}` })).body.lockId);
  const shown: string[] = [];
  for (let cursor: string | null = ''; cursor !== null; ) {
    const page: Answer = await here.call(
      'auditor',
      'GET',
      `${LOCKS}?limit=2${cursor === '' ? '' : `&cursor=${cursor}`}`,
    );
    t.equal(page.status, 200, page.text);
    t.ok(page.body.locks.length <= 2);
    shown.push(...page.body.locks.map(({ lockId }: { lockId: string }) => lockId));
    cursor = page.body.nextCursor;
  }
  t.same(shown, placed);
  t.equal((await here.call('auditor', 'GET', `${LOCKS}?cursor=abc`)).status, 400);
  for (const lockId of placed) await release(lockId);
});

t.test('a retry places one lock', async (t) => {
  const headers = { 'idempotency-key': 'once' };
  const first = await place({ principalId: 'nobody' }, 201, 'kernel-admin', headers);
  const second = await place({ principalId: 'nobody' }, 201, 'kernel-admin', headers);
  t.same(second.body, first.body);
  t.equal(second.headers['idempotent-replayed'], 'true');
  await release(first.body.lockId);
});

t.test('the signer is away: a lock is placed all the same, and none is released', async (t) => {
  const signer = here.service.app.signers.audit;
  const sign = signer.sign.bind(signer);
  Object.assign(signer, {
    sign: async () => {
      throw new Error('the key is away');
    },
  });
  t.teardown(() => Object.assign(signer, { sign }));
  const { body } = await place({ principalId: 'operator' });
  t.equal((await here.call('operator', 'GET', AGENTS)).status, 401);
  t.match(await newest(['access.lock.placed']), { sign_mode: 'deferred' });
  const kept = await here.call('kernel-admin', 'DELETE', `${LOCKS}/${body.lockId}`, { reason: 'too early' });
  t.match(kept, { status: 503, body: { code: 'SIGNER_UNAVAILABLE' } });
  t.ok(kept.headers['retry-after']);
  t.equal((await here.call('operator', 'GET', AGENTS)).status, 401);
  Object.assign(signer, { sign });
  await release(body.lockId);
  t.equal((await here.call('operator', 'GET', AGENTS)).status, 200);
});

t.test('the reason can be erased, and the chain is sound', async (t) => {
  const { body } = await place({ principalId: 'nobody', reason: 'canary of a person' });
  const erased = await here.call('kernel-admin', 'POST', '/v1/audit/erasures', {
    events: [body.auditEvent.seq],
    reason: 'asked',
  });
  t.equal(erased.status, 200, erased.text);
  const { body: shown } = await here.call('kernel-admin', 'GET', `${LOCKS}/${body.lockId}`);
  t.equal(shown.state, 'active');
  t.notOk('reason' in shown);
  await release(body.lockId);
  const { report } = await verifyHere(['--database-url', here.database.superuserUrl, '--chain', '_system']);
  t.same(
    report.findings.filter(({ class: name }) => name !== 'redacted'),
    [],
  );
});
