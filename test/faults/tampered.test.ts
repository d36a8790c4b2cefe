import t from 'tap';

import { withClient } from '../support/postgres.ts';
import { check } from './check/check.ts';
import type { Invariant } from './check/evidence.ts';
import { readFacts } from './check/facts.ts';
import { moreAcknowledged } from './support/conduct.ts';
import { openHarness } from './support/harness.ts';
import { Cleanup, openWorld } from './support/world.ts';

/** What a fault could have left in the database, and the invariant that must be named for it. */
const DAMAGES: readonly (readonly [Invariant, string])[] = [
  ['I1', `UPDATE audit_heads SET seq = seq + 1 WHERE chain = 'demo'`],
  // An acknowledged event is gone, and its chain ends before it.
  [
    'I3',
    `DELETE FROM audit_events WHERE chain = 'demo' AND seq > 5; UPDATE audit_heads SET seq = 5, hash =
     (SELECT hash FROM audit_events WHERE chain = 'demo' AND seq = 5) WHERE chain = 'demo'`,
  ],
  ['I2', `UPDATE agents SET status = CASE status WHEN 'running' THEN 'stopped' ELSE 'running' END`],
  ['I2', 'DELETE FROM decisions'],
  ['I2', `INSERT INTO agent_directory SELECT gen_random_uuid(), 'demo'`],
  [
    'I7',
    `UPDATE audit_events SET payload = payload || '{"policyHash": "sha256:other"}' WHERE event_type = 'agent.start.allowed'`,
  ],
  [
    'I6',
    `UPDATE audit_events SET payload = payload || '{"specHash": "sha256:other"}' WHERE event_type = 'agent.start.allowed'`,
  ],
  [
    'I9',
    `UPDATE audit_events SET payload = payload || '{"reason": "only-for-tests-app"}' WHERE chain = 'demo' AND seq = 3`,
  ],
];

t.test('a run without a fault is without a violation, and damage to its database is named', async (t) => {
  const clean = new Cleanup();
  const harness = await openHarness({ certsDir: process.env['TESTING_CERTS_DIR'] });
  clean.teardown(() => harness.close());
  try {
    const world = await openWorld(harness, clean, { seed: 1 });
    const instance = await world.boot();
    const load = world.load(() => instance);
    await moreAcknowledged(world, 40);
    await load.stop();
    const evidence = await world.evidence();
    t.same(check(evidence), []);
    await instance.terminate();
    for (const [invariant, sql] of DAMAGES) {
      await withClient(world.database.superuserUrl, async (client) => {
        await client.query('SET session_replication_role = replica');
        await client.query('CREATE SCHEMA kept');
        const tables = ['audit_heads', 'audit_events', 'agents', 'decisions', 'agent_directory'];
        for (const table of tables) await client.query(`CREATE TABLE kept.${table} AS TABLE public.${table}`);
        await client.query(sql);
        const found = check({ ...evidence, facts: await readFacts(client) });
        t.ok(
          found.some((one) => one.invariant === invariant),
          `${invariant}: ${sql}`,
          { found },
        );
        for (const table of tables) {
          await client.query(`DELETE FROM public.${table}; INSERT INTO public.${table} TABLE kept.${table}`);
        }
        await client.query('DROP SCHEMA kept CASCADE');
      });
    }
    const facts = await withClient(world.database.superuserUrl, readFacts);
    t.same(check({ ...evidence, facts }), [], 'and nothing once it is taken back');
  } finally {
    await clean.run();
  }
});
