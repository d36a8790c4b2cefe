import { randomUUID } from 'node:crypto';
import pg from 'pg';
import t, { type Test } from 'tap';
import { testDatabase } from '../support/database.ts';
import fc from '../support/fast-check.ts';
import { BATCH_DAMAGES } from './support/batch-damages.ts';
import { inModes } from './support/batches.ts';
import { type Cast, DAMAGES, type Damage } from './support/damages.ts';
import { EPOCH, history, insertChain, insertSigner, type Step } from './support/history.ts';
import { testSigner } from './support/keys.ts';
import { verifyDirectly } from './support/run.ts';

const RUNS = 1;
/** Before every event of a history. */
const BEFORE = new Date(EPOCH - 3_600_000).toISOString();

const cast: Cast = {
  ed: testSigner('ed'),
  ed2: testSigner('ed2'),
  ec: testSigner('ec', 'ECDSA-P256-SHA256'),
  rsa: testSigner('rsa', 'RSA-PSS-SHA256'),
  ended: { ...testSigner('ended'), state: 'retired', notAfter: BEFORE },
  revoked: { ...testSigner('revoked'), state: 'revoked', revokedAt: BEFORE },
  compromised: { ...testSigner('compromised'), state: 'compromised', revokedAt: BEFORE },
  pending: { ...testSigner('pending'), state: 'pending' },
  proof: { ...testSigner('proof'), purpose: 'proof' },
  stranger: testSigner('stranger'),
};

const database = await testDatabase(t);
const client = new pg.Client({ connectionString: database.superuserUrl });
await client.connect();
t.teardown(() => client.end());

t.before(async () => {
  for (const [name, signer] of Object.entries(cast)) if (name !== 'stranger') await insertSigner(client, signer);
  // What an attacker who owns the database does first.
  await client.query('SET session_replication_role = replica');
  const constraints = await client.query<{ conname: string }>(
    `SELECT conname FROM pg_constraint WHERE conrelid = 'audit_events'::regclass AND contype IN ('c', 'p', 'u')`,
  );
  for (const { conname } of constraints.rows) await client.query(`ALTER TABLE audit_events DROP CONSTRAINT ${conname}`);
});

const payload = fc.dictionary(
  fc.string({ minLength: 1 }).filter(storable),
  fc.oneof(fc.string().filter(storable), number()),
);
const signer = fc.constantFrom(cast.ed, cast.ed2, cast.ec, cast.rsa);
const type = fc.constantFrom('agent.created', 'agent.stopped', 'access.denied');
const step = fc.record({ signer, payload, type, tx: fc.nat({ max: 1 }), others: fc.nat({ max: 3 }) });
const scene = fc.record({
  steps: fc.array(step, { minLength: 5, maxLength: 9 }),
  /** Where the signing mode changes: none, one or two of them. */
  toggles: fc.uniqueArray(fc.nat({ max: 6 }), { maxLength: 2 }),
  position: fc.nat(),
  pick: fc.nat(),
});

for (const damage of [...DAMAGES, ...BATCH_DAMAGES]) {
  t.test(`${damage.name}: ${damage.why}`, async (t) => {
    let runs = 0;
    await fc.assert(
      fc.asyncProperty(scene, async ({ steps, toggles, position, pick }) => {
        runs += 1;
        const signed = inModes(steps, damage.batch === true ? [0] : toggles);
        const places = withoutSwitches(signed);
        await check(t, damage, signed, places[position % places.length] ?? 2, pick);
      }),
      { numRuns: RUNS },
    );
    t.ok(runs >= RUNS);
  });
}

/** Places that are neither first nor last, where neither an event nor the one after it switches the mode. */
function withoutSwitches(steps: readonly Step[]): number[] {
  const switches = (step: Step | undefined) => step?.type === 'audit.signmode.switched';
  const places = steps.map((_, index) => index + 1).slice(1, -1);
  return places.filter((at) => !switches(steps[at - 1]) && !switches(steps[at]));
}

async function check(t: Test, damage: Damage, generated: Step[], at: number, pick: number): Promise<void> {
  const chain = `t-${randomUUID()}`;
  const steps = generated.map((one) => ({ ...one }));
  damage.steps?.(steps, { cast, at, pick });
  const rows = history(chain, steps);
  await insertChain(client, rows);
  const expected = await damage.apply({ client, cast, chain, rows, at, pick });
  const { verdict, report } = await verifyDirectly(database.superuserUrl, chain);
  const found = report.findings.map(({ class: name, seq }) => ({ class: name, seq }));
  t.strictSame(sorted(found), sorted(expected), JSON.stringify({ at, pick, findings: report.findings }));
  t.ok(report.findings.every((finding) => finding.chain === chain));
  t.equal(verdict, damage.verdict);
  t.equal(report.ok, false);
}

function sorted(findings: { class: string; seq: number }[]): string[] {
  return findings.map(({ class: name, seq }) => `${seq} ${name}`).sort();
}

/** jsonb holds neither U+0000 nor lone surrogates; the writer refuses both. */
function storable(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed() && text !== '__proto__';
}

function number() {
  return fc.oneof(
    fc.integer(),
    fc.double({ noNaN: true, noDefaultInfinity: true }).filter((value) => !Object.is(value, -0)),
  );
}
