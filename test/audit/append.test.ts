import { Writable } from 'node:stream';
import { sql } from 'kysely';
import pg from 'pg';
import t from 'tap';
import type { Unit } from '../../src/audit/append.ts';
import { auditVerify } from '../../src/cli/audit-verify.ts';
import { auditBench, type Bench } from './support.ts';

const actor = { id: 'tester', kind: 'human' } as const;

function created(chain: string, note: string, extra: Partial<Unit<number>> = {}): Unit<number> {
  return {
    chain,
    ...extra,
    work: async ({ append }) =>
      append({ type: 'workspace.created', actor, payload: { workspaceId: chain, displayName: note } }).seq,
  };
}

function stopped(chain: string): Unit<number> {
  return {
    chain,
    brake: true,
    work: async ({ append }) => append({ type: 'agent.stopped', actor, payload: { agentId: chain } }).seq,
  };
}

async function verdict(bench: Bench): Promise<{ code: number; report: Record<string, unknown> }> {
  const chunks: Buffer[] = [];
  const stdout = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk);
      done();
    },
  });
  const argv = ['--database-url', bench.database.superuserUrl, '--json'];
  const code = await auditVerify(argv, { env: {}, stdout, stderr: stdout });
  return { code, report: JSON.parse(Buffer.concat(chunks).toString('utf8')) };
}

t.test('64 writers over two replicas keep every chain linear', async (t) => {
  const chains = ['alpha', 'beta', 'gamma'];
  const bench = await auditBench(t, chains);
  const replicas = [bench.replica(), bench.replica()];
  const writes = Array.from({ length: 64 }, async (_, writer) => {
    for (let round = 0; round < 5; round += 1) {
      const chain = chains[(writer + round) % chains.length] ?? 'alpha';
      await replicas[writer % 2]?.commit(created(chain, `${writer}/${round}`));
    }
  });
  await Promise.all(writes);

  const { rows } = await bench.database.query(
    `SELECT chain, count(*)::int AS n, max(seq)::int AS top, count(DISTINCT prev_hash)::int AS parents FROM audit_events GROUP BY chain`,
  );
  t.equal(
    rows.reduce((sum, row) => sum + row.n, 0),
    320,
  );
  for (const row of rows) {
    t.equal(row.top, row.n, `${row.chain} has no gap`);
    t.equal(row.parents, row.n, `${row.chain} never forked`);
  }
  const { code, report } = await verdict(bench);
  t.equal(code, 0);
  t.match(report, { ok: true, events: 320, signatures: 320, findings: [] });
});

t.test('a unit that fails takes nothing of its neighbours with it, and leaves nothing of its own', async (t) => {
  const bench = await auditBench(t, ['alpha']);
  const audit = bench.replica();
  const failure = new Error('no');
  const results = await Promise.allSettled(
    Array.from({ length: 30 }, (_, index) =>
      audit.commit({
        chain: 'alpha',
        work: async ({ trx, append }) => {
          append({ type: 'workspace.created', actor, payload: { workspaceId: 'alpha', displayName: String(index) } });
          await sql`INSERT INTO workspaces (id, display_name, created_at, created_by) VALUES ('alpha', '', now(), '')`.execute(
            trx,
          );
          if (index % 3 === 0) throw failure;
        },
      }),
    ),
  );
  const kept = results.filter(({ status }) => status === 'fulfilled').length;
  t.equal(kept, 1, 'every other one hit the unique key or failed on purpose');
  const { rows } = await bench.database.query(`SELECT count(*)::int AS n FROM audit_events`);
  t.equal(rows[0].n, 1);
  t.equal((await verdict(bench)).code, 0);
});

t.test('without a signer only brakes commit, unsigned, and are signed over later', async (t) => {
  const bench = await auditBench(t, ['alpha']);
  const audit = bench.replica();
  await audit.commit(created('alpha', 'before'));
  bench.signer.broken = true;
  const [permissive, brake] = await Promise.allSettled([
    audit.commit(created('alpha', 'permissive')),
    audit.commit(stopped('alpha')),
  ]);
  t.match(permissive, { status: 'rejected', reason: { code: 'SIGNER_UNAVAILABLE' } });
  t.match(brake, { status: 'fulfilled', value: 2 });
  const during = await verdict(bench);
  t.equal(during.code, 2);
  t.match(during.report, { findings: [{ chain: 'alpha', seq: 2, class: 'deferred-uncovered' }] });

  bench.signer.broken = false;
  t.equal(await audit.commit(created('alpha', 'after')), 4, 'audit.deferred.covered takes position 3');
  const { rows } = await bench.database.query(
    `SELECT seq::int, event_type, sign_mode, payload FROM audit_events WHERE chain = 'alpha' ORDER BY seq`,
  );
  t.match(rows.slice(1), [
    { seq: 2, sign_mode: 'deferred' },
    { seq: 3, event_type: 'audit.deferred.covered', sign_mode: 'event', payload: { from: 2, to: 2 } },
    { seq: 4, sign_mode: 'event' },
  ]);
  t.equal((await verdict(bench)).code, 0);
});

t.test('a revoked audit signer signs nothing more, whatever it could', async (t) => {
  const bench = await auditBench(t, ['alpha']);
  const audit = bench.replica();
  await audit.commit(created('alpha', 'before'));
  await bench.database.query(`UPDATE signers SET state = 'revoked', revoked_at = now()`);
  await t.rejects(audit.commit(created('alpha', 'after')), { code: 'SIGNER_UNAVAILABLE' });
  t.equal(await audit.commit(stopped('alpha')), 2);
});

t.test('an unknown chain is NOT_FOUND; a creating unit that fails leaves no head', async (t) => {
  const bench = await auditBench(t, []);
  const audit = bench.replica();
  await t.rejects(audit.commit(created('nowhere', 'x')), { code: 'NOT_FOUND' });
  await t.rejects(
    audit.commit({
      chain: 'fresh',
      creates: true,
      work: async () => {
        throw new Error('no');
      },
    }),
    { message: 'no' },
  );
  const { rows } = await bench.database.query('SELECT chain FROM audit_heads');
  t.same(rows, []);
  t.equal(await audit.commit(created('fresh', 'x', { creates: true })), 1);
});

t.test('a unit that fails leaves nothing that it had still in line', async (t) => {
  const bench = await auditBench(t, ['alpha']);
  const audit = bench.replica();
  const insert = (id: string) =>
    sql`INSERT INTO workspaces (id, display_name, created_at, created_by) VALUES (${id}, '', now(), '')`;
  const first = audit.commit(created('alpha', 'keeps the chain busy, so that the next two share a transaction'));
  const failing = audit.commit({
    chain: 'alpha',
    work: async ({ trx }) => {
      await Promise.all(['beta', 'alpha', 'alpha', 'alpha'].map((id) => insert(id).execute(trx)));
    },
  });
  const neighbour = audit.commit(created('alpha', 'neighbour'));
  const outcomes = await Promise.allSettled([first, failing, neighbour]);
  t.same(
    outcomes.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
  const { rows } = await bench.database.query('SELECT id FROM workspaces');
  t.same(rows, []);
});

t.test('what was not written here is never signed over', async (t) => {
  const bench = await auditBench(t, ['alpha']);
  const audit = bench.replica();
  await audit.commit(created('alpha', 'before'));
  bench.signer.broken = true;
  await audit.commit(stopped('alpha'));
  await bench.database.query(`SET session_replication_role = replica;
    UPDATE audit_events SET body = convert_to(replace(convert_from(body, 'UTF8'), 'agent.stopped', 'proof.renewed'), 'UTF8') WHERE seq = 2;
    UPDATE audit_events SET hash = encode(sha256(body), 'hex') WHERE seq = 2;
    UPDATE audit_heads SET hash = (SELECT hash FROM audit_events WHERE seq = 2)`);
  bench.signer.broken = false;
  await t.rejects(audit.commit(created('alpha', 'after')), { code: 'CHAIN_UNCOVERED' });
  t.equal(await audit.commit(stopped('alpha')), 3, 'a brake still works, unsigned');
  t.not((await verdict(bench)).code, 0);
});

t.test('an unsigned rotation is signed over only in an emergency', async (t) => {
  for (const [emergency, code] of [
    [true, undefined],
    [false, 'CHAIN_UNCOVERED'],
  ] as const) {
    const bench = await auditBench(t, ['_system']);
    const audit = bench.replica();
    const payload = { signerId: 'new', alg: 'Ed25519', purpose: 'audit', publicKeyDigest: 'x', replaces: 'old' };
    bench.signer.broken = true;
    await audit.commit({
      chain: '_system',
      brake: true,
      work: async ({ append }) =>
        append({
          type: 'signer.rotation.requested',
          actor: { id: 'a', kind: 'human' },
          payload: { ...payload, emergency },
        }),
    });
    bench.signer.broken = false;
    const after = await audit.commit(created('_system', 'after')).then(
      () => undefined,
      (error: { code: string }) => error.code,
    );
    t.equal(after, code);
  }
});

t.test('the queue is bounded per chain, never for brakes, and closing finishes what was accepted', async (t) => {
  const bench = await auditBench(t, ['alpha', 'beta']);
  const audit = bench.replica();
  const flood = Promise.allSettled(
    Array.from({ length: 1200 }, (_, index) => audit.commit(created('alpha', String(index)))),
  );
  const brake = audit.commit(stopped('alpha'));
  const other = audit.commit(created('beta', 'another chain'));
  const closed = audit.close();
  await t.rejects(audit.commit(created('alpha', 'late')), { code: 'AUDIT_UNAVAILABLE' });
  t.ok((await brake) < 200, 'the brake went before those that waited');
  t.equal(await other, 1);
  const results = await flood;
  await closed;
  const refused = results.filter((result) => result.status === 'rejected');
  t.ok(refused.length > 100);
  t.ok(refused.every(({ reason }) => reason.code === 'OVERLOADED'));
  const { rows } = await bench.database.query(`SELECT count(*)::int AS n FROM audit_events WHERE chain = 'alpha'`);
  t.equal(rows[0].n, results.length - refused.length + 1, 'exactly the acknowledged ones are there');
});

t.test('chains share transactions, and those whose heads were edited fail alone', async (t) => {
  const refused = { status: 'rejected', reason: { code: 'AUDIT_UNAVAILABLE' } };
  const chains = ['alpha', 'beta', 'gamma', 'delta', 'epsilon', 'eta', 'theta', 'zeta'];
  const bench = await auditBench(t, chains);
  const audit = bench.replica();
  await Promise.all(chains.map((chain) => audit.commit(created(chain, 'first'))));
  await bench.database.query(`UPDATE audit_heads SET seq = 0, hash = repeat('0', 64) WHERE chain = 'beta'`);
  await bench.database.query(`UPDATE audit_heads SET seq = seq + 5 WHERE chain = 'delta'`);
  await bench.database.query(`UPDATE audit_heads SET hash = repeat('a', 64) WHERE chain = 'epsilon'`);
  await bench.database.query(`UPDATE audit_heads SET seq = 9223372036854775806 WHERE chain = 'eta'`);
  await bench.database.query(`SET session_replication_role = replica;
    UPDATE audit_events SET hash = repeat('b', 64) WHERE chain = 'theta';
    UPDATE audit_heads SET hash = repeat('b', 64) WHERE chain = 'theta'`);
  const outcomes = await Promise.allSettled(chains.map((chain) => audit.commit(created(chain, 'second'))));
  t.match(outcomes, [
    { status: 'fulfilled', value: 2 },
    refused,
    { status: 'fulfilled', value: 2 },
    refused,
    refused,
    refused,
    refused,
    { status: 'fulfilled', value: 2 },
  ]);
});

t.test('a chain that another process holds keeps no other waiting', async (t) => {
  const bench = await auditBench(t, ['alpha', 'beta']);
  const audit = bench.replica();
  const other = new pg.Client(bench.database.superuserUrl);
  await other.connect();
  t.teardown(() => other.end());
  await other.query(`BEGIN; SELECT FROM audit_heads WHERE chain = 'alpha' FOR UPDATE`);
  let waits = true;
  const held = audit.commit(created('alpha', 'waits')).finally(() => {
    waits = false;
  });
  t.equal(await audit.commit(created('beta', 'goes on')), 1);
  t.ok(waits, 'while the other chain is still held');
  await other.query('COMMIT');
  t.equal(await held, 1);
});
