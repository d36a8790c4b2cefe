import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import pg from 'pg';
import t, { type Test } from 'tap';

import { testDatabase } from '../support/database.ts';
import { inModes } from './support/batches.ts';
import { event, history, insertChain, insertRows, insertSigner, type Step, setHead } from './support/history.ts';
import { testSigner } from './support/keys.ts';
import { verifyHere } from './support/run.ts';

const signer = testSigner('ed');
const database = await testDatabase(t);
const client = new pg.Client({ connectionString: database.superuserUrl });
await client.connect();
t.teardown(() => client.end());

t.before(async () => {
  await insertSigner(client, signer);
  await client.query('SET session_replication_role = replica');
});

const signed: Step = { signer };
const brake: Step = { signer: null, type: 'agent.stopped' };
const cover = (from: number, to: number): Step => ({ signer, type: 'audit.deferred.covered', payload: { from, to } });

async function stored(steps: readonly Step[]): Promise<string> {
  const chain = `t-${randomUUID()}`;
  await insertChain(client, history(chain, steps));
  return chain;
}

async function found(chain: string, more: readonly string[] = []): Promise<string[]> {
  const { report } = await verifyHere(['--database-url', database.superuserUrl, '--chain', chain, ...more]);
  return report.findings.map(({ seq, class: name, detail }) => `${seq} ${name} ${detail.split(':')[0]}`).sort();
}

async function after(chain: string, set: string, more: readonly string[] = []): Promise<string[]> {
  await client.query(`UPDATE audit_heads SET ${set} WHERE chain = $1`, [chain]);
  return (await found(chain, more)).filter((one) => !one.includes('deferred-uncovered'));
}

const EDITED = (seq: number, column: string) => [`${seq} projection-edited ${column}`];

/** Verifies many chains at once: each with its head edited so, and the column that is found edited, if one is. */
async function checkAll(t: Test, cases: readonly (readonly [readonly Step[], set: string, column?: string])[]) {
  const expected = new Map<string, string[]>();
  for (const [steps, set, column] of cases) {
    const chain = await stored(steps);
    await client.query(`UPDATE audit_heads SET ${set} WHERE chain = $1`, [chain]);
    expected.set(chain, column === undefined ? [] : EDITED(steps.length, column));
  }
  const { report } = await verifyHere(['--database-url', database.superuserUrl]);
  const findings = report.findings.filter((finding) => finding.class !== 'deferred-uncovered');
  for (const [index, [chain, edited]] of [...expected].entries()) {
    const own = findings.filter((finding) => finding.chain === chain);
    const names = own.map(({ seq, class: name, detail }) => `${seq} ${name} ${detail.split(':')[0]}`);
    t.same(names, edited, JSON.stringify(cases[index]?.[1]));
  }
}

t.test('a head that says another first uncovered event', async (t) => {
  const chains = [
    [signed, signed],
    [signed, brake, brake, cover(2, 3)],
    [signed, brake, cover(2, 2), signed],
  ];
  const cases = chains.flatMap((steps) =>
    [1, 2, steps.length, steps.length + 1].map((from) => [steps, `deferred_from = ${from}`, 'deferred_from'] as const),
  );
  await checkAll(t, [...cases, ...chains.map((steps) => [steps, 'deferred_from = NULL'] as const)]);
});

t.test('a head that hides or cuts the events that wait for their cover', async (t) => {
  const chains = [
    [brake, brake],
    [signed, brake, brake],
    [brake, cover(1, 1), brake, brake],
  ];
  const cases = chains.flatMap((steps) =>
    ['NULL', steps.length, steps.length + 1, steps.length - 2].map(
      (from) => [steps, `deferred_from = ${from}`, 'deferred_from'] as const,
    ),
  );
  const honest = chains.map((steps) => [steps, `deferred_from = ${steps.length - 1}`] as const);
  await checkAll(t, [...cases, ...honest]);
});

t.test('a head that says another signing mode', async (t) => {
  const toggled = (toggles: readonly number[]) => inModes([signed, signed, signed, signed], toggles);
  const chains = [
    [toggled([]), 'event', 'batch'],
    [toggled([1]), 'batch', 'event'],
    [toggled([0]), 'batch', 'event'],
    [toggled([1, 3]), 'event', 'batch'],
    [[...toggled([1]), brake], 'batch', 'event'],
    [[brake, brake], 'event', 'batch'],
  ] as const;
  const cases = chains.map(([steps, , other]) => [steps, `sign_mode = '${other}'`, 'sign_mode'] as const);
  await checkAll(t, [...cases, ...chains.map(([steps, mode]) => [steps, `sign_mode = '${mode}'`] as const)]);
});

t.test('from a later seq on, what is not known is not said, and what is known is', async (t) => {
  const chain = await stored([signed, brake, brake, brake]);
  t.same(await after(chain, 'deferred_from = 2', ['--from', '4']), []);
  t.same(await after(chain, 'deferred_from = 3', ['--from', '4']), []);
  t.same(await after(chain, 'deferred_from = NULL', ['--from', '4']), EDITED(4, 'deferred_from'));
  const covered = await stored([signed, brake, cover(2, 2), signed]);
  t.same(await after(covered, 'deferred_from = 2', ['--from', '4']), EDITED(4, 'deferred_from'));
  const batches = await stored(inModes([signed, signed, signed], [1]));
  t.same(await found(batches, ['--from', '4']), []);
  t.same(await after(batches, `sign_mode = 'event'`, ['--from', '4']), EDITED(4, 'sign_mode'));
});

t.test('a verification that goes on from an earlier one', async (t) => {
  const steps = inModes([signed, signed, signed], [1]);
  const chain = await stored(steps);
  const rows = history(chain, steps);
  const state = ['--state', join(t.testdir(), 'state')];
  t.same(await found(chain, state), []);
  t.same(await found(chain, state), []);
  t.same(await after(chain, 'deferred_from = 2', state), EDITED(rows.length, 'deferred_from'));
  t.same(await after(chain, `deferred_from = NULL, sign_mode = 'event'`, state), EDITED(rows.length, 'sign_mode'));
  t.same(await after(chain, `sign_mode = 'batch'`, state), []);
});

t.test('a head that grows event by event, and a schema of before the modes', async (t) => {
  const chain = await stored([signed]);
  const { rows } = await client.query('SELECT chain, seq::int AS seq, hash FROM audit_events WHERE chain = $1', [
    chain,
  ]);
  for (const step of [brake, brake, cover(2, 3), signed]) {
    const row = event(chain, rows, step);
    rows.push(row);
    await insertRows(client, [row]);
    await setHead(client, row);
    t.same(
      (await found(chain)).filter((one) => !one.includes('deferred-uncovered')),
      [],
    );
  }
  await client.query('ALTER TABLE audit_heads DROP COLUMN sign_mode CASCADE');
  await client.query('ALTER TABLE audit_heads DROP COLUMN deferred_from CASCADE');
  t.same(await found(chain), []);
});
