import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import t from 'tap';
import { testDatabase } from '../support/database.ts';
import fc from '../support/fast-check.ts';
import { EPOCH, history, insertChain, insertSigner, type Step } from './support/history.ts';
import { type TestSigner, testSigner } from './support/keys.ts';
import { runExport, runVerify, verifyDirectly, verifyJson } from './support/run.ts';

const database = await testDatabase(t);
const client = new pg.Client({ connectionString: database.superuserUrl });
await client.connect();
t.teardown(() => client.end());

const at = (ms: number) => new Date(EPOCH + ms).toISOString();
const first = { ...testSigner('first'), state: 'retired', notAfter: at(60_000) };
const second = { ...testSigner('second', 'ECDSA-P256-SHA256'), state: 'active', notBefore: at(1_000) };
const third = { ...testSigner('third', 'RSA-PSS-SHA256'), state: 'revoked', revokedAt: at(60_000) };
const stolen = { ...testSigner('stolen'), state: 'compromised', revokedAt: at(60_000) };
const signers: TestSigner[] = [first, second, third, stolen];

t.before(async () => {
  for (const signer of signers) await insertSigner(client, signer);
});

const payload = fc.jsonValue({ maxDepth: 4 }).filter((value) => storable(value));
const step = fc.record({
  signer: fc.constantFrom(...signers),
  payload: fc.record({ value: payload }),
  deferred: fc.boolean(),
  mode: fc.constantFrom('event' as const, 'batch' as const, 'batch' as const),
  tx: fc.nat({ max: 1 }),
  others: fc.nat({ max: 4 }),
  jitter: fc.integer({ min: -2_400, max: 2_400 }),
});

t.test(
  'generated honest histories verify: rotation, deferred events covered later, both modes, clocks apart',
  async (t) => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25 }), async (generated) => {
        const chain = `h-${randomUUID()}`;
        const rows = history(chain, honest(generated));
        await insertChain(client, rows);
        const { verdict, report } = await verifyDirectly(database.superuserUrl, chain);
        const signatures = rows.filter((row) => row.signature !== null).length;
        t.strictSame(report, { ok: true, strength: 'internal', events: rows.length, signatures, findings: [] });
        t.equal(verdict, 'ok');
      }),
      { numRuns: 12 },
    );
  },
);

t.test('all chains at once, over page limits, and the same from an export', async (t) => {
  const system: Step[] = [{ signer: first }, { signer: second }];
  await insertChain(client, history('_system', system));
  for (const length of [1, 249, 250, 251, 777]) {
    await insertChain(
      client,
      history(
        `long-${length}`,
        Array.from({ length }, () => ({ signer: first, at: 5_000 })),
      ),
    );
  }
  const whole = await verifyJson(['--database-url', database.superuserUrl]);
  t.strictSame(whole.report.findings, []);
  t.equal(whole.code, 0);
  t.ok(whole.report.events > 1500);

  const [file, registry] = [join(t.testdir(), 'log.jsonl'), join(t.testdirName, 'signers.json')];
  t.equal((await runExport(['--database-url', database.superuserUrl, '--out', file])).code, 0);
  writeFileSync(registry, JSON.stringify({ signers: signers.map(({ privateKey, ...entry }) => entry) }));
  const exported = await verifyJson(['--export', file, '--signers', registry]);
  t.strictSame(exported.report, whole.report);
  t.equal(exported.code, 0);
  t.equal((await runExport(['--database-url', database.superuserUrl, '--out', file])).code, 3, 'never overwrites');

  const one = await runExport(['--database-url', database.superuserUrl, '--chain', 'long-249']);
  t.equal(one.out.split('\n').length, 250);
});

t.test('from a later seq on, the first prevHash is taken on trust and said so', async (t) => {
  const rows = history(
    'from',
    Array.from({ length: 9 }, () => ({ signer: first })),
  );
  await insertChain(client, rows);
  const { code, report, err } = await verifyJson([
    '--database-url',
    database.superuserUrl,
    '--chain',
    'from',
    '--from',
    '4',
  ]);
  t.equal(code, 0);
  t.equal(report.events, 6);
  t.match(err, /prevHash of seq 4 was taken on trust/);
});

t.test('a login sees all it has to check, or the answer is not 0', async (t) => {
  await insertChain(client, history('mine', [{ signer: first }, { signer: first }]));
  const owner = await verifyJson(['--database-url', database.ownerUrl, '--chain', 'mine']);
  t.equal(owner.code, 0);
  t.equal(owner.report.events, 2);
  const app = await verifyJson(['--database-url', database.appUrl, '--chain', 'mine']);
  t.equal(app.code, 0, 'the app login may read the one chain it names');
  t.equal(app.report.events, 2);
  for (const url of [database.appUrl, database.systemUrl]) {
    const { code, out, err } = await runVerify(['--database-url', url, '--json']);
    t.equal(code, 2);
    t.equal(out, '');
    t.match(err, /this login/);
  }
});

interface Generated extends Required<Pick<Step, 'mode' | 'tx' | 'others'>> {
  signer: TestSigner;
  payload: unknown;
  deferred: boolean;
  jitter: number;
}

/** The rules an honest writer keeps: a cover before the next signed event, then a switch to another mode, no step back of 5 s or more. */
function honest(generated: readonly Generated[]) {
  const steps: Step[] = [];
  let from: number | undefined;
  let before = 'event';
  const last: Generated = { signer: second, payload: {}, deferred: false, jitter: 0, mode: 'event', tx: 0, others: 0 };
  for (const { signer, payload, deferred, jitter, ...how } of [...generated, last]) {
    const time = { at: 5_000 + steps.length * 100 + jitter, ...how };
    if (deferred) {
      from ??= steps.length + 1;
      steps.push({ ...time, signer: null, type: 'agent.stopped', payload });
      continue;
    }
    if (from !== undefined) {
      steps.push({ ...time, signer, type: 'audit.deferred.covered', payload: { from, to: steps.length } });
      from = undefined;
    }
    if (how.mode !== before) {
      steps.push({ ...time, signer, type: 'audit.signmode.switched', payload: { from: before, to: how.mode } });
      before = how.mode;
    }
    steps.push({ ...time, signer, payload });
  }
  return steps;
}

/** What the writer takes: no U+0000, no lone surrogates, no -0. */
function storable(value: unknown): boolean {
  if (Object.is(value, -0)) return false;
  if (typeof value === 'string') return !value.includes('\0') && value.isWellFormed();
  if (typeof value !== 'object' || value === null) return true;
  return Object.entries(value).every(([name, member]) => name !== '__proto__' && storable(name) && storable(member));
}
