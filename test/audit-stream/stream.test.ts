import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';

import { cli } from '../cli/run.ts';
import { databaseUrl, LOGINS } from '../support/postgres.ts';
import { lines, linesOfFile, streamBench, told } from './support/bench.ts';

const once = (url: string, to: string, ...rest: string[]) =>
  cli(['audit', 'stream', '--format', 'cloudevents', '--to', to, '--database-url', url, '--once', ...rest]);

t.test('two chains to a file, from the start, and on from there', async (t) => {
  const bench = await streamBench(t, ['alpha', 'beta']);
  const { superuserUrl: url } = bench.database;
  const [out, state] = [join(bench.dir, 'out.jsonl'), join(bench.dir, 'state.json')];
  const run = (...rest: string[]) => once(url, out, '--state', state, ...rest);
  await bench.append('alpha', 230);
  await bench.append('beta', 3);

  const first = await run('--from', '1');
  t.equal(first.code, 0, first.err);
  t.match(first.err, 'each from seq 1');
  for (const chain of ['alpha', 'beta']) {
    t.strictSame(
      told(await linesOfFile(out), chain),
      await bench.stored(chain),
      'every event once, in order, over pages',
    );
  }
  const [beta] = (await bench.stored('beta')).slice(-1);
  t.match(JSON.parse(await readFile(state, 'utf8')), {
    v: 1,
    chains: { alpha: { seq: 230 }, beta: { hash: beta?.hash } },
  });

  await bench.append('beta', 2);
  await bench.database.query(
    `INSERT INTO audit_heads (chain, seq, hash, updated_at) VALUES ('gamma', 0, repeat('0', 64), to_timestamp(0))`,
  );
  await bench.append('gamma', 2);
  t.match(await run(), { code: 0, out: '', err: '' });
  t.match(await run('--from', '1'), { code: 0, out: '', err: '' }, 'the state goes before --from');
  const events = await linesOfFile(out);
  for (const chain of ['alpha', 'beta', 'gamma']) {
    t.strictSame(told(events, chain), await bench.stored(chain), `${chain}: no gap, no repetition`);
  }
});

t.test('without a state: from the end, or from where it is told', async (t) => {
  const bench = await streamBench(t, ['alpha', 'beta']);
  const { superuserUrl: url } = bench.database;
  await bench.append('alpha', 5);
  const end = await once(url, 'stdout');
  t.same([end.code, end.out], [0, '']);
  t.match(end.err, 'no state: 2 chains, each from the end');
  const from = await once(url, 'stdout', '--from', '4', '--chain', 'alpha', '--source', 'https://here/');
  t.strictSame(told(lines(from.out), 'alpha'), (await bench.stored('alpha')).slice(3));
  t.match(lines(from.out)[0], { source: 'https://here/alpha', specversion: '1.0' });
  t.match(await once(url, 'stdout', '--from', '99'), { code: 0, out: '' }, 'not there yet');
  t.match(await once(url, 'stdout', '--chain', 'nobody'), { code: 2, out: '', err: /no chain/ });

  const state = join(bench.dir, 'first');
  await once(url, 'stdout', '--state', state);
  await bench.append('alpha', 1);
  const next = await once(url, 'stdout', '--state', state);
  t.strictSame(
    told(lines(next.out), 'alpha'),
    (await bench.stored('alpha')).slice(5),
    'the end was remembered at once',
  );
  const ocsf = await cli(['audit', 'stream', '--format', 'ocsf', '--to', 'stdout', '--from', '6', '--once'], {
    DATABASE_URL: url,
  });
  t.match(lines(ocsf.out), [{ class_uid: 6002, unmapped: { chain: 'alpha', seq: 6 } }]);
});

t.test('a chain that does not go on from what was delivered is not streamed; the others are', async (t) => {
  const bench = await streamBench(t, ['alpha', 'beta']);
  const { superuserUrl: url } = bench.database;
  const damage = async (sql: string, why: RegExp, fresh: number) => {
    const state = join(bench.dir, `state-${fresh}`);
    await bench.append('alpha', 4);
    t.equal((await once(url, 'stdout', '--from', '1', '--state', state)).code, 0);
    const kept = JSON.parse(await readFile(state, 'utf8')).chains.alpha;
    const before = (await bench.stored('beta')).length;
    await bench.append('alpha', 3);
    await bench.append('beta', 1);
    await bench.database.query('ALTER TABLE audit_events DISABLE TRIGGER USER');
    await bench.database.query(sql);
    const run = await once(url, 'stdout', '--state', state);
    t.equal(run.code, 1, run.err);
    t.match(run.err, why);
    t.match(run.err, 'chain alpha is not streamed');
    t.strictSame(told(lines(run.out), 'beta'), (await bench.stored('beta')).slice(before));
    const { seq } = JSON.parse(await readFile(state, 'utf8')).chains.alpha;
    const sent = told(lines(run.out), 'alpha');
    t.equal(seq, kept.seq + sent.length, 'what was sound went out, and no more');
    await bench.database.query(`DELETE FROM audit_events WHERE chain = 'alpha'`);
    await bench.database.query(
      `UPDATE audit_heads SET seq = 0, hash = repeat('0', 64), tree = NULL WHERE chain = 'alpha'`,
    );
  };
  const newest = `chain = 'alpha' AND seq = (SELECT seq - 1 FROM audit_heads WHERE chain = 'alpha')`;
  await damage(`DELETE FROM audit_events WHERE ${newest}`, /seq 6 is missing/, 1);
  await damage(`UPDATE audit_events SET body = '{}' WHERE ${newest}`, /seq 6 is no event/, 2);
  const edited = `convert_to(replace(convert_from(body, 'UTF8'), 'tester', 'nobody'), 'UTF8')`;
  await damage(`UPDATE audit_events SET body = ${edited} WHERE ${newest}`, /seq 7 does not follow/, 3);
  await damage(`DELETE FROM audit_events WHERE chain = 'alpha' AND seq = 7`, /seq 7 is missing/, 4);
  const back = `UPDATE audit_heads SET seq = 3, hash = repeat('a', 64) WHERE chain = 'alpha'`;
  await damage(back, /head is at seq 3, and seq 4 was delivered/, 5);
  const other = `UPDATE audit_heads SET seq = 4, hash = repeat('a', 64) WHERE chain = 'alpha'`;
  await damage(other, /seq 4 is another event/, 6);
});

t.test('events that are gone from the front of a chain', async (t) => {
  const bench = await streamBench(t, ['alpha']);
  const { superuserUrl: url } = bench.database;
  const state = join(bench.dir, 'state');
  await bench.append('alpha', 3);
  await once(url, 'stdout', '--from', '1', '--state', state);
  await bench.append('alpha', 6);
  await bench.database.query('ALTER TABLE audit_events DISABLE TRIGGER USER');
  await bench.database.query('DELETE FROM audit_events WHERE seq <= 2');
  t.match(await once(url, join(bench.dir, 'whole'), '--state', state), { code: 0, err: '' }, 'behind what is gone');
  const old = join(bench.dir, 'old');
  const [third] = await bench.stored('alpha');
  await writeFile(old, JSON.stringify({ v: 1, chains: { alpha: { seq: 1, hash: third?.hash } } }));
  const run = await once(url, 'stdout', '--state', old);
  t.equal(run.code, 2);
  t.match(run.err, 'chain alpha: seq 2 to 2 are gone from the log; going on at 3');
  t.strictSame(told(lines(run.out), 'alpha'), await bench.stored('alpha'));
  t.match(await once(url, 'stdout', '--state', old), { code: 0, out: '', err: '' }, 'said once');
});

t.test('logins: whoever sees all rows, or the one chain', async (t) => {
  const bench = await streamBench(t, ['alpha', 'beta']);
  const { superuserUrl, appUrl, name } = bench.database;
  await bench.append('alpha', 2);
  await bench.append('beta', 2);
  const login = { user: `stream_${name}`, password: 'only-for-this-test' };
  await bench.database.query(
    `CREATE ROLE ${login.user} LOGIN PASSWORD '${login.password}' NOINHERIT IN ROLE castellan_verifier`,
  );
  t.teardown(() => bench.database.query(`DROP ROLE ${login.user}`));
  const verifier = await once(databaseUrl(superuserUrl, name, login), 'stdout', '--from', '1');
  t.equal(verifier.code, 0, verifier.err);
  t.equal(lines(verifier.out).length, 4);
  t.match(await once(appUrl, 'stdout', '--from', '1'), { code: 2, out: '', err: /row-level security/ });
  const app = await once(appUrl, 'stdout', '--from', '1', '--chain', 'beta');
  t.strictSame(told(lines(app.out), 'beta'), await bench.stored('beta'));
  const wrong = databaseUrl(superuserUrl, name, { ...LOGINS.app, password: 'not-this-one' });
  const refused = await cli(['audit', 'stream', '--format', 'ocsf', '--to', 'stdout', '--database-url', wrong]);
  t.match(refused, { code: 3, out: '' }, 'ends, although it would wait for a database that is away');
  t.notMatch(refused.err, 'not-this-one');
});

t.test('what is no state, what cannot be written, what cannot be asked', async (t) => {
  const bench = await streamBench(t, ['alpha']);
  const { superuserUrl: url } = bench.database;
  const state = join(bench.dir, 'state');
  for (const text of [
    '',
    '{',
    '[]',
    '{"v":2,"chains":{}}',
    '{"v":1,"chains":{"a":{"seq":-1,"hash":null}}}',
    '{"v":1,"chains":{"a":{"seq":1,"hash":"x"}}}',
  ]) {
    await writeFile(state, text);
    t.match(await once(url, 'stdout', '--state', state), { code: 3, out: '', err: /no state of a stream/ }, text);
    t.equal(await readFile(state, 'utf8'), text, 'left as it is');
  }
  await bench.append('alpha', 1);
  t.match(await once(url, 'stdout', '--state', '/nowhere/at/all'), { code: 3, out: '', err: /cannot be written/ });
  t.match(await once(url, '/nowhere/at/all', '--from', '1'), { code: 3, out: '', err: /cannot be written/ });

  const usage: [string[], RegExp][] = [
    [['--format', 'cef', '--to', 'stdout'], /--format/],
    [['--format', 'ocsf'], /--to is missing/],
    [['--format', 'ocsf', '--to', ''], /--to is empty/],
    [['--format', 'ocsf', '--to', 'http://siem.example/'], /must be https/],
    [['--format', 'ocsf', '--to', 'https://user:secret@siem.example/'], /must be https/],
    [['--format', 'ocsf', '--to', 'ftp://127.0.0.1/'], /must be https/],
    [['--format', 'ocsf', '--to', 'stdout', '--from', '0'], /--from/],
    [['--format', 'ocsf', '--to', 'stdout', '--chain', 'No'], /--chain/],
    [['--format', 'ocsf', '--to', 'stdout', '--source', 'x:'], /--source/],
    [['--format', 'cloudevents', '--to', 'stdout', '--source', 'x y'], /--source/],
    [['--format', 'ocsf', '--to', 'stdout'], /no database/],
  ];
  for (const [argv, why] of usage) t.match(await cli(['audit', 'stream', ...argv]), { code: 64, out: '', err: why });
  const to = ['audit', 'stream', '--format', 'ocsf', '--to', 'http://127.0.0.1:1/', '--database-url', url];
  t.match(await cli(to), { code: 78, err: /CASTELLAN_STREAM_WEBHOOK_SECRET is required/ });
  t.match(await cli(to, { CASTELLAN_STREAM_WEBHOOK_SECRET: 'c2hvcnQ=' }), { code: 78, err: /at least 32 bytes/ });
});

t.test('a file: a cut line is taken off, and what is not ours is left alone', async (t) => {
  const bench = await streamBench(t, ['alpha']);
  const { superuserUrl: url } = bench.database;
  const out = join(bench.dir, 'out.jsonl');
  await bench.append('alpha', 2);
  await writeFile(out, '{"mine":true}\n{"cut":');
  t.equal((await once(url, out, '--from', '1')).code, 0);
  const [kept, ...rest] = await linesOfFile(out);
  t.same(kept, { mine: true });
  t.strictSame(told(rest, 'alpha'), await bench.stored('alpha'));
  for (const text of ['not ours', `${'x'.repeat(1_100_000)}`]) {
    await writeFile(out, text);
    t.match(await once(url, out, '--from', '1'), { code: 3, err: /does not end like a file of events/ });
    t.equal(await readFile(out, 'utf8'), text);
  }
});
