import { createHmac, randomBytes, randomUUID } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import t from 'tap';

import { runVerification } from '../../src/audit/verify/verification.ts';
import { testDatabase } from '../support/database.ts';
import fc from '../support/fast-check.ts';
import { event, history, insertChain, insertSigner, type Row, type Step } from './support/history.ts';
import { testSigner } from './support/keys.ts';
import { runExport, verifyDirectly, verifyHere } from './support/run.ts';

const RUNS = 4;
const signer = testSigner('ed');
const database = await testDatabase(t);
const url = database.superuserUrl;
const client = new pg.Client({ connectionString: url });
await client.connect();
t.teardown(() => client.end());

t.before(async () => {
  await insertSigner(client, signer);
  await client.query('SET session_replication_role = replica');
  for (const constraint of ['audit_personal_pkey', 'audit_personal_salt_check', 'audit_personal_value_check']) {
    await client.query(`ALTER TABLE audit_personal DROP CONSTRAINT ${constraint}`);
  }
});

interface Value {
  seq: number;
  value: string;
  salt: Buffer;
}

interface Scene {
  chain: string;
  rows: Row[];
  values: Value[];
  /** One of the values. */
  one: Value;
}

/** A chain in which people give reasons, by rules written down here a second time. */
function scene(reasons: readonly (string | undefined)[], erased: readonly number[], pick: number): Scene {
  const values: Value[] = [];
  const steps = reasons.map((value, at): Step => {
    if (value === undefined) return { signer };
    const salt = randomBytes(32);
    values.push({ seq: at + 1, value, salt });
    const c = createHmac('sha256', salt).update(value, 'utf8').digest('hex');
    return { signer, type: 'agent.stopped', payload: { agentId: 'a', reason: { c } } };
  });
  const erasures = erased.map((count): Step => ({ signer, type: 'erasure.performed', payload: { values: count } }));
  const chain = `t-${randomUUID()}`;
  const one = values[pick % values.length];
  if (one === undefined) throw new Error('a scene has values');
  return { chain, rows: history(chain, [...steps, ...erasures]), values, one };
}

async function store({ chain, rows, values }: Scene): Promise<void> {
  await insertChain(client, rows);
  for (const { seq, value, salt } of values) await insertValue(chain, seq, 'reason', value, salt);
}

/** As the histories give each event its actor. */
async function insertValue(
  chain: string,
  seq: number,
  member: string,
  value: string,
  salt: Buffer,
  actor = `p-${seq % 3}`,
): Promise<void> {
  await client.query('INSERT INTO audit_personal VALUES ($1, $2, $3, $4, $5, $6)', [
    chain,
    seq,
    member,
    value,
    salt,
    actor,
  ]);
}

const change = ({ chain, one }: Scene, set: string, value: unknown) =>
  client.query(`UPDATE audit_personal SET ${set} WHERE chain = $1 AND seq = $2`, [chain, one.seq, value]);
const drop = ({ chain }: Scene, seqs: readonly number[]) =>
  client.query('DELETE FROM audit_personal WHERE chain = $1 AND seq = ANY($2)', [chain, seqs]);

async function found({ chain }: Scene) {
  const { verdict, report } = await verifyDirectly(url, chain);
  return { verdict, findings: report.findings.map(({ class: name, seq }) => `${seq} ${name}`) };
}

const text = fc.string({ unit: 'grapheme', maxLength: 40 }).filter((value) => !value.includes('\0'));
const reasons = fc
  .array(fc.option(text, { nil: undefined }), { minLength: 3, maxLength: 9 })
  .filter((list) => list.some((value) => value !== undefined));

const DAMAGES: readonly [name: string, apply: (made: Scene) => Promise<unknown>, seq?: (made: Scene) => number][] = [
  ['the text is changed', (made) => change(made, `value = value || $3`, ' ')],
  ['the text is cut', (made) => change(made, 'value = $3', null)],
  ['the salt is changed', (made) => change(made, 'salt = $3', randomBytes(32))],
  ['the salt is longer by what HMAC ignores', (made) => change(made, 'salt = salt || $3', Buffer.alloc(1))],
  ['the value is said to be of somebody else', (made) => change(made, 'actor_id = $3', 'p-7')],
  ['the value is moved to another member', (made) => change(made, 'member = $3', 'other')],
  ['the value is deleted', (made) => drop(made, [made.one.seq])],
  ['a value more', ({ chain, one }) => insertValue(chain, one.seq, 'more', 'x', randomBytes(32))],
  ['the value stands twice, once as another', ({ chain, one }) => insertValue(chain, one.seq, 'reason', 'x', one.salt)],
  [
    'a value behind the end',
    ({ chain, rows }) => insertValue(chain, rows.length + 7, 'reason', 'x', randomBytes(32)),
    ({ rows }) => rows.length + 7,
  ],
];

t.test('every damage is found, in its chain and at its seq', async (t) => {
  const made = DAMAGES.flatMap(([name, apply, seqOf = ({ one }: Scene) => one.seq]) =>
    fc
      .sample(fc.tuple(reasons, fc.nat()), RUNS)
      .map(([list, pick]) => ({ ...scene(list, [], pick), name, apply, seqOf })),
  );
  await client.query('ALTER TABLE audit_personal ALTER COLUMN value DROP NOT NULL');
  for (const one of made) await store(one);
  t.match(await verifyHere(['--database-url', url]), { verdict: 'ok', report: { findings: [] } });
  for (const one of made) await one.apply(one);
  const { verdict, report } = await verifyHere(['--database-url', url]);
  t.equal(verdict, 'tampered');
  for (const one of made) {
    const own = report.findings.filter(({ chain }) => chain === one.chain);
    t.ok(own.length > 0, one.name);
    for (const finding of own) {
      t.match(finding, { seq: one.seqOf(one), class: 'projection-edited', detail: /^personal/ }, one.name);
    }
  }
});

t.test('what was erased is a notice, once for each event', async (t) => {
  const made = scene(['a', undefined, 'b', 'c', 'd'], [1, 2], 0);
  await store(made);
  await drop(made, [1, 3, 5]);
  t.strictSame(await found(made), { verdict: 'ok', findings: ['1 redacted', '3 redacted', '5 redacted'] });
  await drop(made, [4]);
  const more = await found(made);
  t.equal(more.verdict, 'tampered');
  t.strictSame(
    more.findings,
    [1, 3, 4, 5].map((seq) => `${seq} projection-edited`),
    'one more than was erased, and none can be told from it',
  );
});

t.test('an erasure that is forged counts for nothing', async (t) => {
  const made = scene(['a', 'b'], [1], 0);
  await store(made);
  await drop(made, [1]);
  const other = testSigner('stranger');
  const [, , forged] = history(made.chain, [{ signer }, { signer }, { signer: other }]);
  await client.query('UPDATE audit_events SET signature = $2 WHERE chain = $1 AND seq = 3', [
    made.chain,
    forged?.signature,
  ]);
  t.match((await found(made)).findings, ['1 projection-edited', '3 signature-wrong']);
});

t.test('nor does one that nobody can verify', async (t) => {
  const shared = { ...testSigner('shared'), alg: 'HMAC-SHA256' as const, publicKey: null };
  await insertSigner(client, shared);
  const made = scene(['a', 'b'], [], 0);
  made.rows.push(event(made.chain, made.rows, { signer: shared, type: 'erasure.performed', payload: { values: 1 } }));
  await store(made);
  await drop(made, [1]);
  t.match((await found(made)).findings, ['1 projection-edited']);
});

t.test('text of a release before commitments is text, and a value beside it is one too many', async (t) => {
  const chain = `t-${randomUUID()}`;
  const step = { signer, type: 'agent.stopped', payload: { agentId: 'a', reason: 'as it was' } };
  await insertChain(client, history(chain, [step, step]));
  t.equal((await verifyDirectly(url, chain)).verdict, 'ok');
  await insertValue(chain, 2, 'reason', 'as it was', randomBytes(32));
  t.match((await verifyDirectly(url, chain)).report.findings, [{ seq: 2, class: 'projection-edited' }]);
});

t.test('many chains at once, each with its own values', async (t) => {
  const made = Array.from({ length: 5 }, (_, at) => scene(['a', 'b', undefined, 'c'], [1], at));
  for (const one of made) {
    await store(one);
    await drop(one, [one.one.seq]);
  }
  const { report } = await verifyHere(['--database-url', url]);
  for (const { chain, one } of made) {
    const own = report.findings.filter((finding) => finding.chain === chain);
    t.match(own, [{ seq: one.seq, class: 'redacted' }]);
    t.equal(own.length, 1);
  }
});

t.test('a verification that goes on from an earlier one', async (t) => {
  const made = scene(['a', 'b', 'c'], [2], 0);
  await store(made);
  await drop(made, [1, 2]);
  const state = join(t.testdir(), 'state');
  const argv = ['--database-url', url, '--chain', made.chain, '--state', state];
  t.match((await verifyHere(argv)).report, { ok: true, events: 4 });
  t.equal(JSON.parse(readFileSync(state, 'utf8')).chains[made.chain].seq, 4, 'a notice does not keep it from going on');
  t.match((await verifyHere(argv)).report, { ok: true, events: 1, findings: [] });
});

t.test('a login that may not read the values is told so, and told nothing wrong', async (t) => {
  const made = scene(['a', 'b'], [], 0);
  await store(made);
  await drop(made, [1]);
  await client.query('REVOKE SELECT ON audit_personal FROM castellan_verifier');
  t.teardown(() => client.query('GRANT SELECT ON audit_personal TO castellan_verifier'));
  const login = `v${randomBytes(6).toString('hex')}`;
  await client.query(`CREATE ROLE ${login} LOGIN PASSWORD '${login}' IN ROLE castellan_verifier`);
  const own = new URL(url);
  own.username = login;
  own.password = login;
  const { verdict, notes } = await verifyHere(['--database-url', own.href, '--chain', made.chain]);
  t.equal(verdict, 'ok');
  t.match(notes, 'personal values were not compared');
  const { code, err } = await runExport(['--database-url', own.href, '--chain', made.chain, '--personal']);
  t.equal(code, 2);
  t.match(err, 'may not read them');
});

t.test('an export has the values only where they are asked for, and they are checked there', async (t) => {
  const made = scene(['canary-text', undefined, 'gone'], [1], 0);
  await store(made);
  await drop(made, [3]);
  const dir = t.testdir();
  const keys = join(dir, 'signers.json');
  writeFileSync(keys, JSON.stringify({ signers: [{ ...signer, privateKey: undefined }] }));
  const lines = async (...more: string[]) => {
    const { code, out } = await runExport(['--database-url', url, '--chain', made.chain, ...more]);
    t.equal(code, 0);
    return out;
  };
  const without = await lines();
  t.notMatch(without, 'canary-text');
  t.notMatch(without, made.one.salt.toString('base64'));
  const withValues = await lines('--personal');
  const [first, second, third] = withValues.split('\n', 3).map((line) => JSON.parse(line));
  t.strictSame(first.personal, { reason: { value: 'canary-text', salt: made.one.salt.toString('base64') } });
  t.notOk('personal' in second || 'personal' in third);

  const verify = async (text: string) => {
    const path = join(dir, 'log.jsonl');
    writeFileSync(path, text);
    const request = { databaseUrl: undefined, exportPath: path, signersPath: keys, chain: undefined };
    const { verdict, findings } = await runVerification({ ...request, from: 1, workers: 1 }, () => undefined);
    return { verdict, findings: findings.map((finding) => `${finding.seq} ${finding.class}`) };
  };
  t.strictSame(await verify(without), { verdict: 'ok', findings: [] });
  t.strictSame(await verify(withValues), { verdict: 'ok', findings: [] });
  const edited = withValues.replace('canary-text', 'canary-next');
  t.strictSame(await verify(edited), { verdict: 'tampered', findings: ['1 projection-edited'] });
  await t.rejects(verify(withValues.replace('"salt":"', '"salt":7,"x":"')), { code: 'UNREADABLE' });
  const tiles = await runExport(['--database-url', url, '--format', 'tiles', '--out', 'x', '--personal']);
  t.equal(tiles.code, 64);
});
