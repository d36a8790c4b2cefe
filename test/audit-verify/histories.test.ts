import { join } from 'node:path';

import t, { type Test } from 'tap';

import { type TestDatabase, testDatabase } from '../support/database.ts';
import fc, { SEED } from '../support/fast-check.ts';
import { CHAINS, type Plan, plan } from './support/honest-plan.ts';
import { settle, take } from './support/honest-steps.ts';
import { HonestWorld } from './support/honest-world.ts';
import { runExport, type VerifyJson, verifyHere } from './support/run.ts';

const WORLDS = 13;
/** Each waits for its database most of the time. */
const AT_ONCE = 2;
/** Of so many worlds one is also exported. */
const EXPORTED = 5;

/** How often each of these has to happen, so that the generation is worth something. */
const AT_LEAST = {
  'history verified': 500,
  'history by two keys or more': 200,
  'history in both modes': 100,
  'history with covered events': 100,
  'history from which events were removed': 8,
  'history verified from tiles and lines': 100,
  unit: 500,
  'unit without a signer': 200,
  'unit refused without a signer': 200,
  'two replicas at one chain': 15,
  restart: 30,
  'restart in the other mode': 15,
  'restart with another key': 6,
  'rotation requested': 25,
  'rotation applied': 25,
  'rotation after a theft': 5,
  emergency: 4,
  'emergency without a signer': 8,
  'key lost': 4,
  'key retired': 2,
  'key revoked': 2,
  'range closed': 1,
  'theft with nothing signed since': 5,
  'theft with events in doubt': 3,
  'vouched for': 25,
  round: 40,
  erasure: 30,
  hold: 12,
  'hold released': 2,
  'refused by a hold': 5,
  'removal approved': 30,
  removal: 8,
  'removal of a part': 5,
};

const happened = new Map<string, number>();

function count(what: string, times = 1): void {
  happened.set(what, (happened.get(what) ?? 0) + times);
}

t.test('whatever two replicas do, nothing is found but what was done openly', async (t) => {
  t.testdir();
  const plans = fc.sample(plan, WORLDS).entries();
  const one = async () => {
    for (const [index, given] of plans) await check(t, index, given);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, one));
});

t.test('and all of it happened often enough', async (t) => {
  for (const [what, least] of Object.entries(AT_LEAST)) {
    const times = happened.get(what) ?? 0;
    t.ok(times >= least, `${what}: ${times}, at least ${least}`);
  }
});

async function check(t: Test, index: number, given: Plan): Promise<void> {
  const database = await testDatabase(t);
  const world = await HonestWorld.open(database, given);
  try {
    await live(world, index, given);
  } finally {
    await world.close();
  }
  const { report } = await verifyHere(['--database-url', database.superuserUrl]);
  t.strictSame(found(report), expected(world, { texts: true }), `world ${index} of seed ${SEED}`);
  t.equal(report.ok, true);
  count('history verified', CHAINS);
  if (index % EXPORTED === 0) await checkExports(t, world, index);
  await countHistories(database);
  await database.drop();
}

async function live(world: HonestWorld, index: number, { steps }: Plan): Promise<void> {
  for (const [at, { step, after }] of steps.entries()) {
    world.pass(after);
    try {
      for (const what of await take(world, step)) count(what);
    } catch (cause) {
      throw new Error(`step ${at} (${step.does}) of world ${index} of seed ${SEED}`, { cause });
    }
  }
  for (const what of await settle(world)) count(what);
}

/** Tiles and lines, with the note from outside. They say nothing of texts. */
async function checkExports(t: Test, world: HonestWorld, index: number): Promise<void> {
  const url = world.database.superuserUrl;
  const [tiles, lines] = [join(t.testdirName, `tiles-${index}`), join(t.testdirName, `lines-${index}`)];
  t.equal((await runExport(['--database-url', url, '--format', 'tiles', '--out', tiles])).code, 0);
  t.equal((await runExport(['--database-url', url, '--out', lines])).code, 0);
  const asLines = ['--export', lines, '--signers', join(tiles, 'signers.json'), '--log', tiles];
  for (const source of [asLines, ['--tiles', tiles]]) {
    const { report } = await verifyHere([...source, '--checkpoint', join(tiles, 'checkpoint')]);
    t.strictSame(found(report), expected(world, { texts: false }), `${source[0]} of world ${index} of seed ${SEED}`);
    t.match(report, { ok: true, strength: 'anchored' });
  }
  count('history verified from tiles and lines', CHAINS);
}

async function countHistories(database: TestDatabase): Promise<void> {
  const { rows } = await database.query(`
    SELECT count(*) FILTER (WHERE keys > 1)::int AS "history by two keys or more",
      count(*) FILTER (WHERE modes > 1)::int AS "history in both modes",
      count(*) FILTER (WHERE covered)::int AS "history with covered events",
      count(*) FILTER (WHERE events < last)::int AS "history from which events were removed",
      (SELECT count(*) FROM signers WHERE state IN ('retired', 'revoked') AND valid_to_size IS NOT NULL)::int AS "range closed"
    FROM (
      SELECT count(DISTINCT signer_id) AS keys, bool_or(event_type = 'audit.deferred.covered') AS covered,
        count(DISTINCT sign_mode) FILTER (WHERE sign_mode <> 'deferred') AS modes, count(*) AS events, max(seq) AS last
      FROM audit_events WHERE chain <> '_system' GROUP BY chain
    ) c`);
  for (const [what, times] of Object.entries(rows[0] ?? {})) count(what, Number(times));
}

function found({ findings }: VerifyJson): string[] {
  return findings.map(({ chain, seq, class: name }) => `${chain} ${seq} ${name}`).sort();
}

function expected({ chains }: HonestWorld, what: { texts: boolean }): string[] {
  return Array.from(chains, ([chain, model]) => model.notices(what).map((notice) => `${chain} ${notice}`))
    .flat()
    .sort();
}
