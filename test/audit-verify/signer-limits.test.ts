import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import pg from 'pg';
import t from 'tap';

import { testDatabase } from '../support/database.ts';
import { canonicalBody, EPOCH, event, insertSigner, type Row, type Step, sha256 } from './support/history.ts';
import { type TestSigner, testSigner } from './support/keys.ts';
import { runExport, runVerify, verifyHere } from './support/run.ts';
import { audit, checkpoint, logOver, store, type World, worldOf } from './support/world.ts';

const database = await testDatabase(t);
const url = database.superuserUrl;
const client = new pg.Client({ connectionString: url });
await client.connect();
t.teardown(() => client.end());

const at = (ms: number) => new Date(EPOCH + ms).toISOString();
const of = (signer: TestSigner, count: number): Step[] => Array.from({ length: count }, () => ({ signer }));
/** After every event of these histories, so that times alone allow all. */
const LATER = at(3_600_000);
const demo = (steps: Step[], rounds: number[]): World =>
  worldOf(
    new Map([['demo', steps]]),
    rounds.map((size) => new Map([['demo', size]])),
  );

/** Puts the world into the database, with these signers beside the two that every world has. */
async function placed(world: World, signers: readonly TestSigner[]): Promise<void> {
  await store(client, world);
  for (const signer of signers) await insertSigner(client, signer);
}

async function found(argv: readonly string[] = ['--database-url', url]) {
  const { verdict, report, notes } = await verifyHere([...argv]);
  const findings = report.findings.map(({ chain, seq, class: name }) => `${chain} ${seq} ${name}`);
  return { verdict, findings, notes };
}

t.test('a retired key cannot be used after its range, whatever time the event says', async (t) => {
  const old = { ...testSigner('old'), state: 'retired', validToSize: 1 };
  // Entry 1 of the log covers the first three events.
  await placed(demo([...of(old, 3), ...of(audit, 2)], [3, 5]), [old]);
  t.same(await found(), { verdict: 'ok', findings: [], notes: '' });
  await placed(demo([...of(old, 3), ...of(audit, 1), ...of(old, 1), ...of(audit, 1)], [3, 6]), [old]);
  t.match(await found(), { verdict: 'tampered', findings: ['demo 5 signer-out-of-range'] });

  const [tiles, log] = [join(t.testdir(), 'tiles'), join(t.testdir(), 'log.jsonl')];
  t.equal((await runExport(['--format', 'tiles', '--out', tiles, '--database-url', url])).code, 0);
  t.same((await found(['--tiles', tiles])).findings, ['demo 5 signer-out-of-range'], 'the tiles have the log as well');
  t.equal((await runExport(['--out', log, '--database-url', url])).code, 0);
  const alone = await found(['--export', log, '--signers', join(tiles, 'signers.json')]);
  t.match(alone, {
    verdict: 'ok',
    findings: [],
    notes: /1 limits of signers by size of the log of checkpoints were not compared/,
  });
  const beside = ['--export', log, '--signers', join(tiles, 'signers.json'), '--log', tiles];
  t.same((await found(beside)).findings, ['demo 5 signer-out-of-range'], 'with the log from elsewhere');
});

t.test('a new key cannot be used before its range', async (t) => {
  const fresh = { ...testSigner('fresh'), validFromSize: 1 };
  await placed(demo([...of(audit, 3), ...of(fresh, 2)], [3, 5]), [fresh]);
  t.match(await found(), { verdict: 'ok', findings: [] });
  await placed(demo([...of(audit, 2), ...of(fresh, 3)], [3, 5]), [fresh]);
  t.match(await found(), { verdict: 'tampered', findings: ['demo 3 signer-out-of-range'] });
});

t.test('a registry that knows of more entries than there are: the log was cut back', async (t) => {
  const old = { ...testSigner('old'), state: 'retired', validToSize: 3 };
  await placed(demo([...of(old, 2), ...of(audit, 1)], [2, 3]), [old]);
  t.match(await found(), { verdict: 'tampered', findings: ['* 3 backup-restored'] });
});

/** The registry in the words of the format, written down here a second time. */
function digest(signers: readonly TestSigner[]): string {
  const entries = signers.map(({ privateKey: _, ...signer }) => {
    const later = { trustedUpTo: null, validFromSize: null, validToSize: null, replaces: null };
    return { ...later, ...signer };
  });
  return `sha256:${sha256(canonicalBody(entries.toSorted((a, b) => (a.signerId < b.signerId ? -1 : 1))))}`;
}

t.test('a registry that is not the one that the newest event about it names', async (t) => {
  const old = { ...testSigner('old'), state: 'retired', notAfter: LATER, validToSize: 1, replaces: null };
  const named = (signers: readonly TestSigner[], registryVersion: number): Step => {
    const payload = {
      signerId: 'old',
      purpose: 'audit',
      retiredAt: at(0),
      registryVersion,
      registryDigest: digest(signers),
    };
    return { signer: audit, type: 'signer.retired', payload };
  };
  const steps = [
    named([audit, checkpoint], 1),
    { signer: audit },
    named([old, audit, checkpoint], 2),
    { signer: audit },
  ];
  const whole = worldOf(new Map([['_system', steps]]), [new Map([['_system', 4]])]);
  await placed(whole, [old]);
  await client.query('UPDATE signer_registry SET version = 2');
  t.teardown(() => client.query('UPDATE signer_registry SET version = 0'));
  t.match(await found(), { verdict: 'ok', findings: [] });
  for (const edit of ['UPDATE signer_registry SET version = 1', 'DELETE FROM signer_registry']) {
    await client.query(edit);
    t.same((await found()).findings, ['_system 3 projection-edited'], edit);
    await client.query('DELETE FROM signer_registry; INSERT INTO signer_registry (version) VALUES (2)');
  }

  const dir = t.testdir();
  const [tiles, log, mine] = [join(dir, 'tiles'), join(dir, 'log.jsonl'), join(dir, 'mine.json')];
  t.equal((await runExport(['--format', 'tiles', '--out', tiles, '--database-url', url])).code, 0);
  t.equal((await runExport(['--out', log, '--database-url', url])).code, 0);
  t.match(await found(['--tiles', tiles]), { verdict: 'ok', findings: [] });
  const { signers } = JSON.parse(readFileSync(join(tiles, 'signers.json'), 'utf8'));

  for (const [column, value] of [
    ['state', 'active'],
    ['not_after', null],
    ['valid_to_size', 2],
    ['valid_from_size', 1],
    ['replaces', 'audit'],
    ['not_before', at(-1)],
  ]) {
    await client.query(`UPDATE signers SET ${column} = $1 WHERE signer_id = 'old'`, [value]);
    t.ok((await found()).findings.includes('_system 3 projection-edited'), `${column} was edited`);
    await placed(whole, [old]);
  }
  await client.query(`DELETE FROM signers WHERE signer_id = 'old'`);
  t.same((await found()).findings, ['_system 3 projection-edited'], 'an entry was removed');

  const edited = signers.map((one: object) => ({ ...one, notAfter: null }));
  writeFileSync(join(tiles, 'signers.json'), JSON.stringify({ signers: edited }));
  t.same(
    (await found(['--tiles', tiles])).findings,
    ['_system 3 projection-edited'],
    'a directory has a registry of its own',
  );
  const outside = async (document: object) => {
    writeFileSync(mine, JSON.stringify(document));
    return (await found(['--export', log, '--signers', mine])).findings;
  };
  t.same(await outside({ signers: edited }), [], 'one from elsewhere may be older or newer');
  t.same(await outside({ signers: edited, version: 3 }), [], 'or says so');
  t.same(
    await outside({ signers: edited, version: 2 }),
    ['_system 3 projection-edited'],
    'unless it says that it is that one',
  );
  t.same(await outside({ signers, version: 2 }), []);
});

const stolen: TestSigner = { ...testSigner('stolen'), state: 'compromised', revokedAt: LATER, trustedUpTo: at(250) };
const doubtful = ['demo 3 signer-compromised', 'demo 4 signer-compromised', 'demo 6 signer-compromised'];

/** Two events that count, three in doubt with another between them, a word about them, and one after it. */
async function judged(word: (rows: readonly Row[]) => Step, others: readonly TestSigner[] = []) {
  const rows: Row[] = [];
  for (const step of [...of(stolen, 4), ...of(audit, 1), ...of(stolen, 1)]) rows.push(event('demo', rows, step));
  rows.push(event('demo', rows, word(rows)));
  rows.push(event('demo', rows, { signer: audit }));
  const chains = new Map([['demo', rows]]);
  const rounds = [2, 8].map((size) => new Map([['demo', size]]));
  await placed({ chains, ...logOver(chains, rounds) }, [stolen, ...others]);
  return found();
}

function vouching(rows: readonly Row[], other: object = {}, signer = audit): Step {
  const payload = { signerId: 'stolen', from: 3, to: 6, hash: rows[5]?.hash, reason: 'compared', ...other };
  return { signer, type: 'audit.range.reattested', payload };
}

t.test('what a stolen key signed is in doubt until a later event vouches for it', async (t) => {
  t.match(await judged(() => ({ signer: audit })), { verdict: 'tampered', findings: doubtful });
  t.same(await judged((rows) => vouching(rows)), { verdict: 'ok', findings: ['demo 3 reattested'], notes: '' });
  const argv = ['--database-url', url, '--json'];
  t.match(await runVerify(argv), { code: 0, out: /"ok":true.*reattested/ }, 'a notice, no damage');
});

t.test('a word for it that does not count', async (t) => {
  const another = testSigner('another');
  const ended = { ...testSigner('ended'), state: 'retired', notAfter: at(-3_600_000) };
  const words: Record<string, (rows: readonly Row[]) => Step> = {
    'with another hash': (rows) => vouching(rows, { hash: rows[4]?.hash }),
    'with the hash of the last one, for more': (rows) => vouching(rows, { to: 7 }),
    'that ends before the last one': (rows) => vouching(rows, { to: 4, hash: rows[3]?.hash }),
    'for another signer': (rows) => vouching(rows, { signerId: 'another' }),
    'by the stolen key itself': (rows) => vouching(rows, {}, stolen),
    'by the stolen key itself, dated back': (rows) => ({ ...vouching(rows, {}, stolen), at: 240 }),
    'by a key that was retired before': (rows) => vouching(rows, {}, ended),
    'without a range': (rows) => vouching(rows, { from: 'one' }),
    'that nobody signed': (rows) => ({ ...vouching(rows), signer: null }),
  };
  for (const [name, word] of Object.entries(words)) {
    const { findings, verdict } = await judged(word, [another, ended]);
    t.equal(verdict, 'tampered', name);
    t.same(
      findings.filter((finding) => doubtful.includes(finding)),
      doubtful,
      name,
    );
    t.notMatch(findings.join(), 'reattested', name);
  }
  const late = await judged((rows) => vouching(rows, { from: 4 }));
  t.same(
    late,
    { verdict: 'tampered', findings: ['demo 3 signer-compromised', 'demo 4 reattested'], notes: '' },
    'too small',
  );
});

t.test('the word is forged by an edit', async (t) => {
  await judged((rows) => vouching(rows, { hash: 'ab'.repeat(32) }));
  const { rows } = await client.query(`SELECT body, hash FROM audit_events WHERE chain = 'demo' AND seq = 6`);
  const { rows: word } = await client.query(`SELECT body FROM audit_events WHERE chain = 'demo' AND seq = 7`);
  const event = JSON.parse(word[0].body.toString('utf8'));
  const body = canonicalBody({ ...event, payload: { ...event.payload, hash: rows[0].hash } });
  await client.query(
    `UPDATE audit_events SET body = $1, hash = $2, payload = convert_from($1, 'UTF8')::jsonb -> 'payload' WHERE chain = 'demo' AND seq = 7`,
    [body, sha256(body)],
  );
  const { findings } = await found();
  t.same(findings, [...doubtful, 'demo 7 signature-wrong']);
});

t.test('events in doubt are not passed on in a state; those vouched for are', async (t) => {
  const state = join(t.testdir(), 'state.json');
  const argv = ['--database-url', url, '--state', state];
  await judged(() => ({ signer: audit }));
  t.equal((await found(argv)).verdict, 'tampered');
  t.equal((await found(argv)).verdict, 'tampered');
  await judged((rows) => vouching(rows));
  t.match(await found(argv), { verdict: 'ok', findings: ['demo 3 reattested'] });
  t.match(await found(argv), { verdict: 'ok', findings: [], notes: /7 events of chain demo were taken on trust/ });
});

t.test('a database whose registry is of an older schema', async (t) => {
  const old = { ...testSigner('old'), state: 'retired', notAfter: LATER };
  await placed(demo([...of(old, 2), ...of(audit, 1)], [2, 3]), [old]);
  await client.query(`ALTER TABLE signers DROP COLUMN trusted_up_to CASCADE, DROP COLUMN valid_from_size CASCADE,
    DROP COLUMN valid_to_size CASCADE, DROP COLUMN replaces CASCADE`);
  t.same(await found(), { verdict: 'ok', findings: [], notes: '' });
});
