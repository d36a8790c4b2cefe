import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import pg from 'pg';
import t, { type Test } from 'tap';

import { testDatabase } from '../support/database.ts';
import { event, history, insertRows, type Row, setHead } from './support/history.ts';
import { runExport, runVerify, verifyHere } from './support/run.ts';
import { audit, logOver, store, treeBytes, type World, worldOf } from './support/world.ts';

const database = await testDatabase(t);
const url = database.superuserUrl;
const client = new pg.Client({ connectionString: url });
await client.connect();
t.teardown(() => client.end());

const steps = (count: number) => Array.from({ length: count }, () => ({ signer: audit }));
const rounds = [3, 6, 9].map(
  (size) =>
    new Map([
      ['one', size],
      ['two', size - 2],
    ]),
);
const whole: World = worldOf(
  new Map([
    ['one', steps(10)],
    ['two', steps(8)],
  ]),
  rounds,
);
/** The same log at an earlier moment. */
const before = worldAt(5, 3, 1);

t.test('a later run goes on from the state, and says so', async (t) => {
  const state = join(t.testdir(), 'state.json');
  const argv = ['--database-url', url, '--state', state];
  await store(client, before);
  const first = await verifyHere(argv);
  t.match(first, { verdict: 'ok', report: { events: 8 } });
  t.notMatch(first.notes, /trust/);
  const kept = JSON.parse(readFileSync(state, 'utf8'));
  t.strictSame(kept.chains.one.tree, treeBytes(rowsOf(before, 'one')).toString('base64'));

  await store(client, whole);
  const second = await verifyHere(argv);
  t.match(second, { verdict: 'ok', report: { events: 6 + 6, signatures: 12 } }, 'the last event known once more');
  t.match(second.notes, /6 events of 2 chains were taken on trust from an earlier verification/);
  t.match(await verifyHere(argv), { verdict: 'ok', report: { events: 2 } }, 'nothing new is no failure');
  t.match(await verifyHere([...argv, '--chain', 'two']), { verdict: 'ok', report: { events: 1 } });
  t.strictSame(Object.keys(JSON.parse(readFileSync(state, 'utf8')).chains), ['one', 'two']);
});

t.test('the roots in the log of checkpoints are met from a state on, too', async (t) => {
  const { state } = await stateOf(t, before);
  const rows = rowsOf(whole, 'one').slice(0, 7);
  while (rows.length < 10) rows.push(event('one', rows, { signer: audit, payload: { other: true } }));
  const chains = new Map(whole.chains).set('one', rows);
  await store(client, { ...whole, chains });
  const { report } = await verifyHere(['--database-url', url, '--state', state]);
  t.match(report.findings, [{ chain: 'one', seq: 7, class: 'history-rewritten' }]);
  t.equal(readFileSync(state, 'utf8'), (await stateOf(t, before, 'again')).text, 'not moved over what was found');
});

t.test('a state that does not fit is an error', async (t) => {
  const { state, text } = await stateOf(t, before);
  const argv = ['--database-url', url, '--state', state];
  const refused = async (why: string, message: RegExp) => {
    const { code, out, err } = await runVerify(argv);
    t.strictSame({ code, out }, { code: 2, out: '' }, why);
    t.match(err, message, why);
    t.equal(readFileSync(state, 'utf8'), text, 'and the state is left alone');
  };
  const put = async (rows: Row[]) => {
    const chains = new Map(whole.chains).set('one', rows);
    await store(client, { chains, ...logOver(chains, []) });
  };
  await put(history('one', steps(10)));
  await refused('rewritten', /chain one does not have the event at seq 5 at which the state was taken/);
  await put(rowsOf(whole, 'one').slice(0, 4));
  await refused('cut back', /chain one does not have the event at seq 5/);
  await put([]);
  await refused('gone', /chain one does not have the event at seq 5/);
  await store(client, whole);
  await client.query(`UPDATE signers SET state = 'retiring' WHERE signer_id = 'audit'`);
  await refused('another registry', /registry of signers is another one/);
  await client.query(`UPDATE signers SET state = 'active' WHERE signer_id = 'audit'`);
  for (const wrong of ['', '{}', '[]', text.replace('"seq":5', '"seq":6'), text.replace('"v":1', '"v":2')]) {
    writeFileSync(state, wrong);
    const { code, err } = await runVerify(argv);
    t.equal(code, 2, wrong);
    t.match(err, /the state .* does not fit/);
    t.equal(readFileSync(state, 'utf8'), wrong);
  }
});

t.test('nothing unsettled is ever passed on', async (t) => {
  const state = join(t.testdir(), 'state.json');
  const argv = ['--database-url', url, '--state', state];
  await store(client, before);
  const rows = rowsOf(before, 'one');
  const brake = event('one', rows, { signer: null, type: 'agent.stopped' });
  await insertRows(client, [brake]);
  await setHead(client, brake);
  await client.query('UPDATE audit_heads SET tree = NULL');
  t.match(await verifyHere(argv), { verdict: 'incomplete' });
  const cover = event('one', [...rows, brake], {
    signer: audit,
    type: 'audit.deferred.covered',
    payload: { from: 6, to: 6 },
  });
  await insertRows(client, [cover]);
  await setHead(client, cover);
  t.match(await verifyHere(argv), { verdict: 'ok' });
  t.match(await verifyHere(argv), { verdict: 'ok', report: { events: 2 } }, 'from the cover on');
  t.equal(JSON.parse(readFileSync(state, 'utf8')).chains.one.seq, 7);
  await client.query(`UPDATE audit_events SET signature = '' WHERE chain = 'one' AND seq = 7`);
  t.match(await verifyHere(argv), { verdict: 'tampered' }, 'the event at the state is verified again');
});

t.test('the same state for a directory of tiles and for an export; tiles grow', async (t) => {
  const dir = t.testdir();
  const [state, tiles, jsonl] = [join(dir, 'state.json'), join(dir, 'tiles'), join(dir, 'log.jsonl')];
  const grow = () => runExport(['--database-url', url, '--format', 'tiles', '--out', tiles]);
  await store(client, before);
  t.match(await grow(), { code: 0, err: /exported 8 new events, 8 in all, 2 entries/ });
  t.match(await verifyHere(['--tiles', tiles, '--state', state]), { verdict: 'ok', report: { events: 8 } });
  await store(client, whole);
  t.match(await grow(), { code: 0, err: /exported 10 new events, 18 in all, 6 entries/ });
  t.match(await grow(), { code: 0, err: /exported 0 new events, 18 in all, 6 entries/ });
  const argv = ['--checkpoint', join(tiles, 'checkpoint')];
  t.match(await verifyHere(['--tiles', tiles, ...argv]), {
    verdict: 'ok',
    report: { events: 18, strength: 'anchored' },
  });
  t.equal((await runExport(['--database-url', url, '--out', jsonl])).code, 0);
  const signers = ['--signers', join(tiles, 'signers.json')];
  const again = await verifyHere(['--export', jsonl, ...signers, '--log', tiles, ...argv, '--state', state]);
  t.match(again, { verdict: 'ok', report: { events: 12, strength: 'anchored' } });
  await store(client, before);
  t.match(await grow(), { code: 1, err: /directory|checkpoint/ }, 'a log that went back is refused');
});

t.test('damage in a directory of tiles', async (t) => {
  const dir = t.testdir();
  await store(client, whole);
  const found = async (name: string, damage: (at: (file: string) => string) => void) => {
    const tiles = join(dir, name);
    await runExport(['--database-url', url, '--format', 'tiles', '--out', tiles]);
    damage((file) => join(tiles, 'chains', 'one', file));
    const { report } = await verifyHere(['--tiles', tiles]);
    return report.findings.map(({ chain, seq, class: name }) => `${chain} ${seq} ${name}`);
  };
  const edit = (path: string, from: string, to: string) =>
    writeFileSync(path, readFileSync(path, 'latin1').replace(from, to), 'latin1');
  t.strictSame(await found('none', () => undefined), []);
  t.strictSame(await found('entry', (at) => edit(at('tile/entries/000.p/10'), '"kind":"human"', '"kind":"HUMAN"')), [
    'one 1 signature-wrong',
  ]);
  t.strictSame(
    await found('tile', (at) => writeFileSync(at('tile/0/000.p/10'), Buffer.alloc(320))),
    Array.from({ length: 10 }, (_, index) => `one ${index + 1} projection-edited`),
  );
  const line = (seq: number) => new RegExp(`^{"seq":${seq},.*\n`, 'm');
  const drop = (path: string, seq: number) => writeFileSync(path, readFileSync(path, 'utf8').replace(line(seq), ''));
  t.strictSame(await found('line', (at) => drop(at('signatures.jsonl'), 4)), ['one 4 signature-missing']);
});

function rowsOf(world: World, chain: string): Row[] {
  return (world.chains.get(chain) ?? []).slice();
}

function worldAt(one: number, two: number, count: number): World {
  const chains = new Map([
    ['one', rowsOf(whole, 'one').slice(0, one)],
    ['two', rowsOf(whole, 'two').slice(0, two)],
  ]);
  return { chains, ...logOver(chains, rounds.slice(0, count)) };
}

async function stateOf(t: Test, world: World, name = 'state'): Promise<{ state: string; text: string }> {
  const dir = name === 'state' ? t.testdir() : t.testdirName;
  const state = join(dir, `${name}.json`);
  await store(client, world);
  await verifyHere(['--database-url', url, '--state', state]);
  return { state, text: readFileSync(state, 'utf8') };
}
