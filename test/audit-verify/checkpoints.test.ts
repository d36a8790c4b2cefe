import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import fc from 'fast-check';
import pg from 'pg';
import t, { type Test } from 'tap';

import { testDatabase } from '../support/database.ts';
import { event, type Row, type Step } from './support/history.ts';
import { runExport, type VerifyJson, verifyHere } from './support/run.ts';
import {
  audit,
  checkpoint,
  entryOf,
  logOver,
  noteOver,
  type Rounds,
  store,
  type World,
  worldOf,
} from './support/world.ts';

const RUNS = 1;

const database = await testDatabase(t);
const url = database.superuserUrl;
const client = new pg.Client({ connectionString: url });
await client.connect();
t.teardown(() => client.end());

/** Two chains and three rounds over them: at each, both are a little longer. */
const scene = fc
  .record({
    first: fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 3, maxLength: 3 }),
    second: fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 3, maxLength: 3 }),
    more: fc.integer({ min: 0, max: 3 }),
    pick: fc.nat(),
  })
  .map(({ first, second, more, pick }) => {
    const rounds: Rounds = [1, 2, 3].map((count) => new Map([sized('one', first, count), sized('two', second, count)]));
    const histories = new Map<string, readonly Step[]>([
      ['one', steps(sum(first) + more)],
      ['two', steps(sum(second) + more)],
    ]);
    return { world: worldOf(histories, rounds), rounds, pick };
  });

interface Expected {
  chain: string;
  seq: number;
  class: string;
}

interface Damage {
  why: string;
  /** What is found with the newest honest note from outside; without it, if `internal` is not given, nothing is. */
  anchored: Expected[];
  internal?: Expected[];
  world: World;
}

t.test('honest logs are anchored, whether in a database, a directory of tiles or an export', async (t) => {
  await forEachScene(async (t, { world }) => {
    await store(client, world);
    const note = noteFile(t, 'outside', world.notes.at(-1)?.text ?? '');
    for (const source of await sources(t)) {
      const { verdict, report } = await verifyHere([...source, '--checkpoint', note]);
      t.strictSame({ verdict, findings: report.findings }, { verdict: 'ok', findings: [] });
      t.equal(report.strength, 'anchored');
    }
  }, t);
});

for (const [name, make] of Object.entries<(scene: Scene) => Damage>({
  'rows and heads of an earlier moment put back': restoredRows,
  'a whole backup put back': restoredAll,
  'history rewritten by who has the signing key': rewrittenRows,
  'history and log rewritten by who has all keys': rewrittenAll,
})) {
  t.test(name, async (t) => {
    await forEachScene(async (t, scene) => {
      const damage = make(scene);
      await store(client, damage.world);
      const note = noteFile(t, 'outside', scene.world.notes.at(-1)?.text ?? '');
      for (const source of await sources(t)) {
        const inside = await verifyHere(source);
        t.strictSame(sorted(inside.report), sortedExpected(damage.internal ?? []), `${damage.why}: ${source[0]}`);
        t.equal(inside.verdict, damage.internal === undefined ? 'ok' : 'tampered');
        const { verdict, report } = await verifyHere([...source, '--checkpoint', note]);
        t.strictSame(sorted(report), sortedExpected(damage.anchored), `${damage.why}, anchored: ${source[0]}`);
        t.equal(verdict, 'tampered');
      }
    }, t);
  });
}

t.test('a log kept outside names chain and seq of what was rewritten with all keys', async (t) => {
  await forEachScene(async (t, scene) => {
    await store(client, scene.world);
    const kept = join(t.testdirName, `kept-${unique()}`);
    t.equal((await runExport(['--database-url', url, '--format', 'tiles', '--out', kept])).code, 0);
    const { world, from } = rewriting(scene);
    await store(client, world);
    const note = noteFile(t, 'outside', scene.world.notes.at(-1)?.text ?? '');
    const { verdict, report } = await verifyHere(['--database-url', url, '--log', kept, '--checkpoint', note]);
    t.equal(verdict, 'tampered');
    t.strictSame(sorted(report), sortedExpected([{ chain: 'one', seq: from, class: 'history-rewritten' }]));
    const again = await runExport(['--database-url', url, '--format', 'tiles', '--out', kept]);
    t.equal(again.code, 1, 'a directory of another history is refused');
    t.match(again.err, /another event in the directory|not the one of the checkpoint/);
  }, t);
});

t.test('damage to the log of checkpoints itself', async (t) => {
  const histories = new Map([
    ['one', steps(9)],
    ['two', steps(4)],
  ]);
  const rounds = [3, 6, 9].map(
    (size) =>
      new Map([
        ['one', size],
        ['two', Math.ceil(size / 3)],
      ]),
  );
  const world = worldOf(histories, rounds);
  const check = async (sql: string, values: unknown[] = []) => {
    await store(client, world);
    await client.query(sql, values);
    const { report } = await verifyHere(['--database-url', url]);
    return report.findings.map(({ chain, seq, class: name }) => `${chain} ${seq} ${name}`);
  };
  t.strictSame(await check('SELECT 1'), []);
  t.strictSame(await check('UPDATE audit_heads SET tree = $1 WHERE chain = $2', [Buffer.alloc(8), 'one']), [
    'one 9 projection-edited',
  ]);
  t.strictSame(await check('UPDATE audit_heads SET tree = NULL'), [], 'not known yet');
  t.strictSame(await check('UPDATE audit_checkpoint_entries SET size = 7 WHERE index = 2'), ['* 3 projection-edited']);
  t.strictSame(await check('DELETE FROM audit_checkpoint_entries WHERE index = 2'), ['* 3 gap']);
  t.strictSame(await check('DELETE FROM audit_checkpoint_entries WHERE index = 5'), ['* 6 backup-restored']);
  t.strictSame(await check(`UPDATE audit_checkpoint_entries SET entry = '{}' WHERE index = 4`), ['* 5 non-canonical']);
  const [note] = world.notes;
  const wrong = note?.text.replace('\n2\n', '\n1\n');
  t.strictSame(await check('UPDATE audit_checkpoints SET note = $1 WHERE size = 2', [wrong]), ['* 2 signature-wrong']);
  const other = noteOver([entryOf('one', 3, Buffer.alloc(32)), entryOf('two', 1, Buffer.alloc(32))]);
  t.strictSame(await check('UPDATE audit_checkpoints SET note = $1 WHERE size = 2', [other.text]), [
    '* 1 history-rewritten',
  ]);
  const stranger = noteOver(world.entries.slice(0, 2), { ...checkpoint, ...audit });
  t.strictSame(await check('UPDATE audit_checkpoints SET note = $1 WHERE size = 2', [stranger.text]), [
    '* 2 signer-out-of-range',
  ]);
});

type Scene = typeof scene extends fc.Arbitrary<infer T> ? T : never;

/** Only the events went back; the log of checkpoints still knows of more. */
function restoredRows({ world }: Scene): Damage {
  const size = sizeAt(world, 0, 'one');
  const expected = [{ chain: 'one', seq: size + 1, class: 'backup-restored' }];
  const chains = new Map(world.chains);
  chains.set('one', (world.chains.get('one') ?? []).slice(0, size));
  return { why: 'rows', anchored: expected, internal: expected, world: { ...world, chains } };
}

function restoredAll({ world, rounds }: Scene): Damage {
  const chains = new Map(
    Array.from(world.chains, ([name, rows]) => [name, rows.slice(0, rounds[0]?.get(name) ?? 0)] as const),
  );
  const log = logOver(chains, rounds.slice(0, 1));
  const seq = log.entries.length + 1;
  return { why: 'all', anchored: [{ chain: '*', seq, class: 'backup-restored' }], world: { chains, ...log } };
}

function rewrittenRows(scene: Scene): Damage {
  const { world, from } = rewriting(scene);
  const expected = [{ chain: 'one', seq: from, class: 'history-rewritten' }];
  const { entries, notes } = scene.world;
  return { why: 'rows', anchored: expected, internal: expected, world: { ...world, entries, notes } };
}

function rewrittenAll(scene: Scene): Damage {
  const { world } = rewriting(scene);
  // One note from outside, none before it: of two chains it cannot be told which was rewritten.
  const alone = !scene.world.entries.some(({ chain }) => chain === 'two');
  const chain = alone ? 'one' : '*';
  return { why: 'all', anchored: [{ chain, seq: 1, class: 'history-rewritten' }], world };
}

/** Chain `one` written anew from somewhere after the first round on, honestly signed, and the log over it as well. */
function rewriting({ world, rounds, pick }: Scene): { world: World; from: number } {
  const rows = world.chains.get('one') ?? [];
  const last = sizeAt(world, 2, 'one');
  const first = sizeAt(world, 0, 'one');
  const at = first + 1 + (pick % (last - first));
  const other: Row[] = rows.slice(0, at - 1);
  while (other.length < rows.length) other.push(event('one', other, { signer: audit, payload: { other: true } }));
  const chains = new Map(world.chains).set('one', other);
  const agreed = world.entries.filter(({ chain, size }) => chain === 'one' && size < at).at(-1)?.size ?? 0;
  return { world: { chains, ...logOver(chains, rounds) }, from: agreed + 1 };
}

function sizeAt(world: World, round: number, chain: string): number {
  const entries = world.entries.slice(0, world.notes[round]?.size).filter((entry) => entry.chain === chain);
  return entries.at(-1)?.size ?? 0;
}

/** The database, a directory of tiles, and a JSONL export beside the log of that directory. */
async function sources(t: Test): Promise<string[][]> {
  const [tiles, jsonl] = [join(t.testdirName, `tiles-${unique()}`), join(t.testdirName, `log-${unique()}.jsonl`)];
  t.equal((await runExport(['--database-url', url, '--format', 'tiles', '--out', tiles])).code, 0);
  t.equal((await runExport(['--database-url', url, '--out', jsonl])).code, 0);
  return [
    ['--database-url', url],
    ['--tiles', tiles],
    ['--export', jsonl, '--signers', join(tiles, 'signers.json'), '--log', tiles],
  ];
}

async function forEachScene(work: (t: Test, scene: Scene) => Promise<void>, t: Test): Promise<void> {
  t.testdir();
  await fc.assert(
    fc.asyncProperty(scene, (one) => work(t, one)),
    { numRuns: RUNS },
  );
}

function noteFile(t: Test, name: string, text: string): string {
  const path = join(t.testdirName, name);
  writeFileSync(path, text);
  return path;
}

function sorted({ findings }: VerifyJson): string[] {
  return sortedExpected(findings);
}

function sortedExpected(findings: readonly Expected[]): string[] {
  return findings.map(({ chain, seq, class: name }) => `${chain} ${seq} ${name}`).sort();
}

function steps(count: number): Step[] {
  return Array.from({ length: count }, () => ({ signer: audit }));
}

function sized(chain: string, growth: readonly number[], rounds: number): [string, number] {
  return [chain, sum(growth.slice(0, rounds))];
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}

let count = 0;
function unique(): number {
  count += 1;
  return count;
}
