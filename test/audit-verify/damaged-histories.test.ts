import pg from 'pg';
import t, { type Test } from 'tap';

import { FINDING_CLASSES } from '../../src/audit/verify/finding.ts';
import { testDatabase } from '../support/database.ts';
import fc, { SEED } from '../support/fast-check.ts';
import { BATCH_DAMAGES } from './support/batch-damages.ts';
import { DAMAGES } from './support/damages.ts';
import { plan } from './support/honest-plan.ts';
import { settle, take } from './support/honest-steps.ts';
import { HonestWorld } from './support/honest-world.ts';
import { LOG_DAMAGES } from './support/log-damages.ts';
import { verifyHere } from './support/run.ts';

const WORLDS = 2;
const PICKS = 1;
const TABLES = [
  'audit_events',
  'audit_heads',
  'audit_personal',
  'audit_checkpoint_entries',
  'audit_checkpoints',
  'signers',
];
/** What histories.test.ts finds in honest histories, by chain and seq. */
const NOTICES = ['reattested', 'redacted', 'pruned'];

const length = PICKS * LOG_DAMAGES.length;
const scenes = fc.tuple(plan, fc.array(fc.nat(), { minLength: length, maxLength: length }));

for (const [index, [{ steps, ...options }, picks]] of fc.sample(scenes, WORLDS).entries()) {
  t.test(`what is damaged beside the rows of generated history ${index}`, async (t) => {
    const database = await testDatabase(t);
    const world = await HonestWorld.open(database, options);
    try {
      for (const { step, after } of steps) {
        world.pass(after);
        await take(world, step);
      }
      await settle(world);
    } finally {
      await world.close();
    }
    await damageAll(t, world, picks);
  });
}

t.test('every class there is is made by a generated damage, or is what honest histories show', (t) => {
  const made = [...DAMAGES, ...BATCH_DAMAGES, ...LOG_DAMAGES].map(({ name }) => name.split(' ')[0]);
  t.strictSame([...new Set([...made, ...NOTICES])].sort(), [...FINDING_CLASSES].sort());
  t.end();
});

async function damageAll(t: Test, world: HonestWorld, picks: readonly number[]): Promise<void> {
  const url = world.database.superuserUrl;
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query('SET session_replication_role = replica');
    await client.query('CREATE SCHEMA saved');
    for (const table of TABLES) await client.query(`CREATE TABLE saved.${table} AS TABLE public.${table}`);
    const before = await found(url);
    for (const [at, { name, apply }] of LOG_DAMAGES.entries()) {
      for (const pick of picks.slice(at * PICKS, (at + 1) * PICKS)) {
        const expected = await apply({ world, query: (sql, values) => client.query(sql, values), pick });
        t.ok(expected.every((line) => line.endsWith(` ${name.split(' ')[0]}`)));
        t.strictSame(await found(url), [...before, ...expected].sort(), `${name}, ${pick} of seed ${SEED}`);
        for (const table of TABLES) {
          await client.query(`DELETE FROM public.${table}; INSERT INTO public.${table} TABLE saved.${table}`);
        }
      }
    }
    t.strictSame(await found(url), before, 'all is as it was');
  } finally {
    await client.end();
  }
}

/** `chain seq class` of all that is found. */
async function found(url: string): Promise<string[]> {
  const { report } = await verifyHere(['--database-url', url]);
  return report.findings.map(({ chain, seq, class: name }) => `${chain} ${seq} ${name}`).sort();
}
