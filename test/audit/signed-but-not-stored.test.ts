import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';

import { createAuditAppender, type Unit } from '../../src/audit/append.ts';
import { signedBytes } from '../../src/audit/event.ts';
import { sha256Hex } from '../../src/crypto/digest.ts';
import type { Signer } from '../../src/crypto/signer.ts';
import { verificationKey, verifySignature } from '../../src/crypto/verify.ts';
import type { Failpoint, Failpoints } from '../../src/failpoints.ts';
import { createStorage, type Storage } from '../../src/storage/storage.ts';
import { formatVerifierKey } from '../../src/transparency/note-key.ts';
import { verifyHere } from '../audit-verify/support/run.ts';
import { type CheckpointBench, checkpointBench } from '../checkpoints/support.ts';
import { quiet } from '../support/postgres.ts';
import { until } from '../support/process.ts';

const CHAIN = 'alpha';
const nothing = () => undefined;
const silent = { batch: nothing, signed: nothing, signerFailed: nothing, queueDepth: nothing };

/** A message that was signed, and what came out. */
interface Signed {
  readonly message: Buffer;
  readonly signature: Buffer;
}

/** One service process, as far as the database and the signer can tell. */
function replica(t: Test, bench: CheckpointBench, name: string, failpoints?: Failpoints) {
  const { appUrl, systemUrl } = bench.database;
  const storage = createStorage({ appUrl, systemUrl, poolSize: 4, applicationName: name, logger: quiet });
  t.teardown(() => storage.close());
  const sent: Buffer[] = [];
  const signed: Signed[] = [];
  const signer: Signer = {
    signerId: bench.signer.signerId,
    algorithm: bench.signer.algorithm,
    sign: async (data, signal) => {
      const signature = await bench.signer.sign(data, signal);
      signed.push({ message: Buffer.from(data), signature });
      return signature;
    },
  };
  const audit = createAuditAppender({
    storage: listened(storage, (value) => sent.push(value)),
    signer,
    clock: Date.now,
    transactions: 4,
    observe: silent,
    failpoints,
  });
  return { audit, signed, sent };
}

/** Hears the bytes that are sent to be stored: a body is among them, which the signer never sees. */
function listened(storage: Storage, heard: (value: Buffer) => void): Storage {
  return {
    ...storage,
    transaction: (work) =>
      storage.transaction((session) => {
        const call = session.call.bind(session);
        session.call = (routine, values) => {
          for (const value of values) if (Buffer.isBuffer(value)) heard(value);
          return call(routine, values);
        };
        return work(session);
      }),
  };
}

function created(note: string): Unit<number> {
  const payload = { workspaceId: CHAIN, displayName: note };
  const event = { type: 'workspace.created', actor: { id: 'tester', kind: 'human' }, payload } as const;
  return { chain: CHAIN, work: async ({ append }) => append(event).seq };
}

/** A process that reaches the failpoint with one event and goes no further; the position is signed. */
async function stuckAt(t: Test, bench: CheckpointBench, place: Failpoint) {
  const { promise: reached, resolve: reach } = Promise.withResolvers<void>();
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  t.teardown(release);
  const dying = replica(t, bench, 'dying', async (name) => {
    if (name !== place) return;
    reach();
    await released;
  });
  const outcome = dying.audit.commit(created('never happened')).then(
    () => 'committed',
    () => 'failed',
  );
  await reached;
  return { ...dying, outcome, release };
}

async function waitsForLock(bench: CheckpointBench, name: string): Promise<boolean> {
  const sql = `SELECT FROM pg_stat_activity WHERE datname = $1 AND application_name LIKE $2 AND wait_event_type = 'Lock'`;
  return (await bench.database.query(sql, [bench.database.name, `${name}%`])).rowCount === 1;
}

/** What the server does when the process at the other end is gone. */
async function serverNotices(bench: CheckpointBench, name: string): Promise<void> {
  const sql = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND application_name LIKE $2`;
  await bench.database.query(sql, [bench.database.name, `${name}%`]);
}

const newest = async (bench: CheckpointBench) => {
  const sql =
    'SELECT seq::int AS seq, hash, body, signature FROM audit_events WHERE chain = $1 ORDER BY seq DESC LIMIT 1';
  return (await bench.database.query(sql, [CHAIN])).rows[0];
};

const verify = (bench: CheckpointBench, ...rest: string[]) =>
  verifyHere(['--database-url', bench.database.superuserUrl, ...rest]);

for (const place of ['audit.signed', 'audit.inserted'] as const) {
  t.test(`${place}: the position is signed again only when the first transaction is surely over`, async (t) => {
    const bench = await checkpointBench(t, [CHAIN]);
    await bench.append(CHAIN, 2);
    const dying = await stuckAt(t, bench, place);
    t.equal(dying.signed.length, 1, 'signed, and not committed');

    const next = replica(t, bench, 'next');
    const committed = next.audit.commit(created('happened'));
    await until('the next one waits for the head', () => waitsForLock(bench, 'next'));
    t.same(next.signed, [], 'nothing is signed while the first transaction may still commit');
    t.match(await newest(bench), { seq: 2 });

    await serverNotices(bench, 'dying');
    t.equal(await committed, 3, 'the same position');
    t.equal(next.signed.length, 1);
    t.notSame(next.signed[0]?.message, dying.signed[0]?.message, 'with other content');
    const stored = await newest(bench);
    t.same(signedBytes(stored), next.signed[0]?.message, 'what is stored is what was signed last');
    dying.release();
    t.equal(await dying.outcome, 'failed', 'and the first one was never acknowledged');
    t.match(await verify(bench), { verdict: 'ok', report: { events: 3, signatures: 3 } });
  });
}

t.test('a failure in the same process: the position is decided and signed anew', async (t) => {
  const bench = await checkpointBench(t, [CHAIN]);
  let fails = true;
  const one = replica(t, bench, 'one', (name) => {
    if (name !== 'audit.signed' || !fails) return;
    fails = false;
    throw new Error('between signing and storing');
  });
  await t.rejects(one.audit.commit(created('first')));
  t.equal(await one.audit.commit(created('second')), 1);
  t.equal(one.signed.length, 2);
  t.same(signedBytes(await newest(bench)), one.signed[1]?.message);
  t.match(await verify(bench), { verdict: 'ok', report: { events: 1 } });
});

t.test(
  'what a dead process signed verifies nowhere in the chain, and in its place only until there is a checkpoint',
  async (t) => {
    const bench = await checkpointBench(t, [CHAIN]);
    await bench.append(CHAIN, 2);
    const dying = await stuckAt(t, bench, 'audit.inserted');
    await serverNotices(bench, 'dying');
    dying.release();
    await dying.outcome;
    await bench.append(CHAIN, 1);

    const [signed] = dying.signed;
    const body = dying.sent.find((bytes) => signed?.message.equals(signedBytes({ body: bytes })) === true);
    if (signed === undefined || body === undefined) throw new Error('nothing was signed');
    const { rows } = await bench.database.query(`SELECT public_key FROM signers WHERE signer_id = 'audit-1'`);
    const key = verificationKey('Ed25519', rows[0].public_key);
    t.ok(verifySignature(key, signed.message, signed.signature), 'it is a good signature');
    t.match(JSON.parse(body.toString('utf8')), { seq: 3, payload: { displayName: 'never happened' } });

    const columns =
      'chain, seq, id, event_type, ts, actor_id, actor_kind, payload, body, hash, prev_hash, signature, signer_id, sign_mode';
    const insert = () =>
      bench.database.query(
        `INSERT INTO audit_events (${columns}) SELECT e->>'chain', (e->>'seq')::bigint, (e->>'id')::uuid, e->>'eventType',
        (e->>'ts')::timestamptz, e->'actor'->>'id', e->'actor'->>'kind', e->'payload', $1, $2, e->>'prevHash', $3, e->>'signerId', 'event'
        FROM (SELECT convert_from($1, 'UTF8')::jsonb AS e) AS parsed`,
        [body, sha256Hex(body), signed.signature.toString('base64')],
      );
    await t.rejects(insert(), { code: '23505' }, 'beside the stored event there is no room');
    t.match(await verify(bench), { verdict: 'ok', report: { events: 3 } });

    const note = await bench.rounds()();
    const dir = await mkdtemp(join(tmpdir(), 'castellan-test-note-'));
    t.teardown(() => rm(dir, { recursive: true }));
    const path = join(dir, 'note');
    await writeFile(path, note.note?.note ?? '');
    const anchored = ['--checkpoint', path, '--checkpoint-key', formatVerifierKey(bench.key)];
    t.match(await verify(bench, ...anchored), { verdict: 'ok', report: { strength: 'anchored' } });

    // Whoever may write everything puts it in the place of the event, and takes what is known of checkpoints out of the database.
    const sql = [
      'ALTER TABLE audit_events DISABLE TRIGGER USER',
      `DELETE FROM audit_events WHERE chain = '${CHAIN}' AND seq = 3`,
      `UPDATE audit_heads SET hash = '${sha256Hex(body)}', tree = NULL WHERE chain = '${CHAIN}'`,
    ];
    for (const statement of sql) await bench.database.query(statement);
    await insert();
    const found = { chain: CHAIN, seq: 1, class: 'history-rewritten' };
    t.match(
      await verify(bench),
      { verdict: 'tampered', report: { findings: [found] } },
      'the own log of checkpoints still knows',
    );
    t.match(await verify(bench, ...anchored), { verdict: 'tampered', report: { findings: [found] } });
    for (const table of ['checkpoint_entries', 'checkpoint_chains', 'checkpoints', 'tiles']) {
      await bench.database.query(`ALTER TABLE audit_${table} DISABLE TRIGGER USER`);
      await bench.database.query(`TRUNCATE audit_${table} CASCADE`);
    }
    t.match(
      await verify(bench),
      { verdict: 'ok', report: { strength: 'internal' } },
      'internally whole: the residual risk',
    );
    const gone = { chain: '*', seq: 1, class: 'backup-restored' };
    t.match(
      await verify(bench, ...anchored),
      { verdict: 'tampered', report: { findings: [gone] } },
      'and only what is kept elsewhere tells',
    );
  },
);
