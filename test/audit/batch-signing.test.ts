import t from 'tap';

import type { AuditAppender, Unit } from '../../src/audit/append.ts';
import { openKmsSigner } from '../../src/signers/drivers/kms/kms-signer.ts';
import { verifiedSigner } from '../../src/signers/verified-signer.ts';
import { verifyJson } from '../audit-verify/support/run.ts';
import { useCredentials } from '../support/kms-endpoint/environment.ts';
import { kmsEndpoint } from '../support/kms-endpoint/kms-endpoint.ts';
import { auditBench, type Bench } from './support.ts';

const actor = { id: 'tester', kind: 'human' } as const;

function many(chain: string, count: number, extra: Partial<Unit<number>> = {}): Unit<number> {
  return {
    chain,
    ...extra,
    work: async ({ append }) => {
      const event = { type: 'agent.stopped', actor, payload: { agentId: chain } } as const;
      return Array.from({ length: count }, () => append(event).seq).at(-1) ?? 0;
    },
  };
}

const brake = (chain: string) => many(chain, 1, { brake: true });

async function verified(bench: Bench, ...more: string[]) {
  return verifyJson(['--database-url', bench.database.superuserUrl, ...more]);
}

/** Of a chain, in order: type or, of a stopped agent, nothing; and mode. */
async function modes(bench: Bench, chain: string): Promise<string[]> {
  const { rows } = await bench.database.query(
    'SELECT event_type, sign_mode FROM audit_events WHERE chain = $1 ORDER BY seq',
    [chain],
  );
  return rows.map((row) => (row.event_type === 'agent.stopped' ? row.sign_mode : `${row.event_type} ${row.sign_mode}`));
}

t.test('one signature for all events of a transaction, whatever their chains, in the order of the rows', async (t) => {
  const chains = ['alpha', 'beta', 'gamma', 'delta'];
  const bench = await auditBench(t, chains);
  const audit = bench.replica('batch');
  await Promise.all(Array.from({ length: 60 }, (_, at) => audit.commit(many(chains[at % 4] ?? 'alpha', 1 + (at % 3)))));
  const { rows } = await bench.database.query(`
    SELECT count(DISTINCT chain)::int AS chains, count(*)::int AS events, min(batch_size) AS least, max(batch_size) AS most,
      array_agg(batch_index ORDER BY chain, seq) AS indexes
    FROM audit_events GROUP BY signature`);
  t.equal(rows.length, bench.signer.asked);
  t.ok(rows.length < 40, `${rows.length} signatures for 60 units`);
  t.ok(rows.some((row) => row.chains > 1));
  for (const { events, least, most, indexes } of rows) {
    t.strictSame([least, most], [events, events]);
    t.strictSame(indexes, Array.from(indexes.keys()));
  }
  const { code, report } = await verified(bench);
  t.equal(code, 0);
  // 120 of the units, and the switch of each chain.
  t.match(report, { ok: true, events: 124, signatures: 124, findings: [] });
});

t.test('each chain says when its mode changes, there and back, after a cover of what is unsigned', async (t) => {
  const bench = await auditBench(t, ['alpha', 'beta']);
  const [single, batch] = [bench.replica('event'), bench.replica('batch')];
  await single.commit(many('alpha', 1));
  await batch.commit(many('alpha', 2));
  t.equal(await batch.commit(many('beta', 0)), 0);
  bench.signer.broken = true;
  await batch.commit(brake('alpha'));
  bench.signer.broken = false;
  await single.commit(many('alpha', 1));
  await single.commit(many('alpha', 1));
  const [toBatch, cover] = ['audit.signmode.switched batch', 'audit.deferred.covered event'];
  const toEvent = 'audit.signmode.switched event';
  t.strictSame(await modes(bench, 'alpha'), [
    'event',
    toBatch,
    'batch',
    'batch',
    'deferred',
    cover,
    toEvent,
    'event',
    'event',
  ]);
  t.strictSame(await modes(bench, 'beta'), [], 'a switch alone is not written');
  const { rows } = await bench.database.query(
    `SELECT h.sign_mode, e.payload FROM audit_events e JOIN audit_heads h USING (chain)
      WHERE event_type = 'audit.signmode.switched' ORDER BY e.seq`,
  );
  t.strictSame(rows, [
    { sign_mode: 'event', payload: { from: 'event', to: 'batch' } },
    { sign_mode: 'event', payload: { from: 'batch', to: 'event' } },
  ]);
  t.equal((await verified(bench)).code, 0);
  t.equal((await verified(bench, '--chain', 'alpha', '--from', '7')).code, 0, 'from the switch on');
  t.equal((await verified(bench, '--chain', 'alpha', '--from', '6')).code, 0, 'from the cover on');
});

t.test('a cover alone, in the other mode, is followed by the switch', async (t) => {
  const bench = await auditBench(t, ['alpha']);
  const audit = bench.replica('batch');
  bench.signer.broken = true;
  await audit.commit(brake('alpha'));
  bench.signer.broken = false;
  await audit.commit(many('alpha', 0));
  t.strictSame(await modes(bench, 'alpha'), [
    'deferred',
    'audit.deferred.covered batch',
    'audit.signmode.switched batch',
  ]);
  t.equal((await verified(bench)).code, 0);
});

t.test('replicas of both modes keep one verifiable chain between them', async (t) => {
  const bench = await auditBench(t, ['alpha', 'beta']);
  const replicas: AuditAppender[] = [bench.replica('event'), bench.replica('batch')];
  const writes = Array.from({ length: 24 }, async (_, writer) => {
    for (let round = 0; round < 4; round += 1) {
      await replicas[writer % 2]?.commit(many(writer % 3 === 0 ? 'beta' : 'alpha', 1));
    }
  });
  await Promise.all(writes);
  const { code, report } = await verified(bench);
  t.equal(code, 0);
  t.strictSame(report.findings, []);
  t.equal(report.signatures, report.events);
  t.ok(report.events > 96, `${report.events - 96} switches`);
});

t.test('without the signer a batch fails as a whole, but for the brakes in it', async (t) => {
  const bench = await auditBench(t, ['alpha', 'beta']);
  const audit = bench.replica('batch');
  await audit.commit(many('alpha', 1));
  bench.signer.broken = true;
  const outcomes = await Promise.allSettled([
    audit.commit(many('alpha', 1)),
    audit.commit(brake('alpha')),
    audit.commit(many('beta', 1)),
    audit.commit(brake('beta')),
  ]);
  const refused = { status: 'rejected', reason: { code: 'SIGNER_UNAVAILABLE' } };
  t.match(outcomes, [refused, { status: 'fulfilled', value: 3 }, refused, { status: 'fulfilled', value: 1 }]);
  const { rows } = await bench.database.query(
    `SELECT num_nonnulls(batch_index, batch_size, batch_path)::int AS n FROM audit_events WHERE sign_mode = 'deferred'`,
  );
  t.strictSame(rows, [{ n: 0 }, { n: 0 }]);
  t.equal((await verified(bench)).code, 2);
  bench.signer.broken = false;
  await Promise.all(['alpha', 'beta'].map((chain) => audit.commit(many(chain, 1))));
  t.equal((await verified(bench)).code, 0);
});

t.test('a unit that fails takes nothing of its batch with it', async (t) => {
  const bench = await auditBench(t, ['alpha']);
  const audit = bench.replica('batch');
  const outcomes = await Promise.allSettled(
    Array.from({ length: 12 }, (_, at) =>
      audit.commit({
        chain: 'alpha',
        work: async ({ append }) => {
          append({ type: 'agent.stopped', actor, payload: { agentId: `${at}` } });
          if (at % 3 === 0) throw new Error('no');
        },
      }),
    ),
  );
  t.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 8);
  t.match((await verified(bench)).report, { ok: true, events: 9, signatures: 9 });
});

t.test('the columns belong to mode batch, all of them, and fit each other', async (t) => {
  const bench = await auditBench(t, ['alpha']);
  await bench.replica('event').commit(many('alpha', 1));
  await bench.database.query('SET session_replication_role = replica');
  const bad = [
    'batch_index = 0',
    "sign_mode = 'batch'",
    "sign_mode = 'batch', batch_index = 0, batch_size = 1",
    "sign_mode = 'batch', batch_index = 1, batch_size = 1, batch_path = ''",
    "sign_mode = 'batch', batch_index = -1, batch_size = 1, batch_path = ''",
    "sign_mode = 'batch', batch_index = 0, batch_size = 2, batch_path = '\\x00'",
  ];
  for (const set of bad) {
    const edit = bench.database.query(`SET session_replication_role = replica; UPDATE audit_events SET ${set}`);
    await t.rejects(edit, { code: '23514' }, set);
  }
});

t.test('KMS: a transaction of many events takes one of its signatures', async (t) => {
  const endpoint = await kmsEndpoint(t);
  useCredentials(t, endpoint.credentials);
  const { arn } = endpoint.createKey('ECC_NIST_P256');
  const keyed = await openKmsSigner({ signerId: 'kms-1', keyArn: arn, endpoint: endpoint.url });
  t.teardown(() => keyed.close?.());
  const publicKeyPem = keyed.key.key.export({ format: 'pem', type: 'spki' }).toString();
  const bench = await auditBench(t, ['alpha'], { signer: verifiedSigner(keyed), publicKeyPem });
  endpoint.latencyMs = 20;
  const before = endpoint.counts.Sign;
  t.equal(await bench.replica('batch').commit(many('alpha', 300)), 301);
  t.equal(endpoint.counts.Sign - before, 1);
  t.equal(endpoint.signatures, 1);
  t.match((await verified(bench)).report, { ok: true, events: 301, signatures: 301 });

  endpoint.fault = 'wrong-signature';
  const audit = bench.replica('batch');
  const [permissive, restrictive] = await Promise.allSettled([
    audit.commit(many('alpha', 2)),
    audit.commit(many('alpha', 2, { brake: true })),
  ]);
  t.match(permissive, { status: 'rejected', reason: { code: 'SIGNER_UNAVAILABLE' } });
  t.match(restrictive, { status: 'fulfilled', value: 303 });
});
