import t from 'tap';

import { mth } from '../../transparency/support/reference.ts';
import { type Batch, signatureBy } from '../support/batches.ts';
import { type Finding, missing, reattesting, secondAndOurs, type Tap } from '../support/both.ts';
import { canonicalBody, EPOCH, event, history, type Row, type Step, sha256 } from '../support/history.ts';
import { signHash, testSigner } from '../support/keys.ts';

const at = (ms: number) => new Date(EPOCH + ms).toISOString();
const ed = testSigner('ed');
const ec = testSigner('ec', 'ECDSA-P256-SHA256');
const rsa = testSigner('rsa', 'RSA-PSS-SHA256');
const ended = { ...testSigner('ended'), state: 'retired', notAfter: at(-3_600_000) };
const stolen = { ...testSigner('stolen'), state: 'compromised', revokedAt: at(-3_600_000) };
const trusted = { ...testSigner('trusted'), state: 'compromised', revokedAt: at(3_600_000), trustedUpTo: at(150) };
const proof = { ...testSigner('proof'), purpose: 'proof' };
const signers = [ed, ec, rsa, ended, stolen, trusted, proof];

const both = (t: Tap, rows: readonly Row[]) => secondAndOurs(t, rows, { registry: { signers } });

/** Numbers, names and texts in which canonicalisers differ. */
const payload = {
  numbers: [0, -1.5, 1e21, 1e-7, 123456789012345680000, 0.000001, 5e-324, 1.7976931348623157e308, 9007199254740991],
  text: '\u0000€ "\\ \u001f\u007f 😀 \ud7ff',
  '\ufb33': 1,
  '😀': 2,
  nested: [{ b: [], a: {} }, null, true, false],
};
const steps: Step[] = [
  { signer: ed, payload },
  { signer: ec },
  { signer: rsa },
  { signer: null, type: 'agent.stopped' },
  { signer: null, type: 'access.denied' },
  { signer: ed, type: 'audit.deferred.covered', payload: { from: 4, to: 5 } },
  { signer: ec },
  { signer: ed },
];
const honest = history('demo', steps);

/** Batches of one and of several, with events of other chains and without, a cover before the switch, and back again. */
const together = { mode: 'batch', tx: 1 } as const;
const batched = history('demo', [
  { signer: ed },
  { signer: null, type: 'agent.stopped' },
  { signer: ec, ...together, type: 'audit.deferred.covered', payload: { from: 2, to: 2 }, others: 4 },
  { signer: ec, ...together, type: 'audit.signmode.switched', payload: { from: 'event', to: 'batch' } },
  { signer: ec, ...together },
  { signer: rsa, mode: 'batch' },
  { signer: ed, ...together, others: 1 },
  { signer: ed, ...together },
  { signer: ed, ...together },
  { signer: ed, type: 'audit.signmode.switched', payload: { from: 'batch', to: 'event' } },
  { signer: ed },
]);

t.test(
  'it finds honest events good: all algorithms, unsigned ones covered, odd numbers and texts',
  { skip: missing },
  async (t) => {
    const { second, ours } = await both(t, honest);
    t.match(second, { ok: true, events: 8, signatures: 6, findings: [] });
    t.match(ours, { ok: true, events: 8, signatures: 6, findings: [] });
    t.equal(second.roots.demo, mth(honest.map(({ body }) => body)).toString('base64'));
  },
);

t.test('it finds batches good', { skip: missing }, async (t) => {
  const { second, ours } = await both(t, batched);
  t.match(second, { ok: true, events: 11, signatures: 10, findings: [] });
  t.match(ours, { ok: true, events: 11, signatures: 10, findings: [] });
});

const damages: Record<string, (rows: Row[]) => Row[]> = {
  'body-edited': (rows) => changed(rows, 2, ({ body }) => ({ body: forged(body) })),
  'hash-edited': (rows) => changed(rows, 2, () => ({ hash: 'ab'.repeat(32) })),
  'projection-edited': (rows) => changed(rows, 2, () => ({ eventType: 'agent.deleted' })),
  'signature-wrong': (rows) =>
    changed(rows, 2, ({ body }) => ({ body: forged(body), hash: sha256(forged(body)), payload: { forged: true } })),
  'signature-missing': (rows) => changed(rows, 2, () => ({ signature: null })),
  'signature-wrong-key': (rows) => changed(rows, 8, ({ hash }) => ({ signature: signHash(proof.privateKey, hash) })),
  'signature-wrong-algorithm': (rows) => changed(rows, 8, ({ hash }) => ({ signature: signHash(ec.privateKey, hash) })),
  gap: (rows) => rows.filter(({ seq }) => seq !== 7),
  forked: (rows) =>
    rows.map((row) => (row.seq === 7 ? event('demo', rows.slice(0, 6), { signer: ed, payload: {} }) : row)),
  'clock-regression': () =>
    history('demo', [
      { signer: ed, at: 60_000 },
      { signer: ed, at: 10 },
    ]),
  'deferred-uncovered': () => history('demo', [{ signer: ed }, { signer: null, type: 'agent.stopped' }]),
  'signature-missing (unsigned approval)': () =>
    history('demo', [
      { signer: ed },
      { signer: null, type: 'promotion.approved' },
      { signer: ed, type: 'audit.deferred.covered', payload: { from: 2, to: 2 } },
    ]),
  'signer-out-of-range': () => history('demo', [{ signer: ed }, { signer: ended }]),
  'signer-compromised': () => history('demo', [{ signer: ed }, { signer: stolen }]),
  'signer-compromised (and another range vouched for)': () => {
    const rows = history('demo', [{ signer: ed }, { signer: stolen }, { signer: ed }, { signer: stolen }]);
    return [...rows, event('demo', rows, reattesting(ed, rows, { from: 3 }))];
  },
  'signer-compromised (vouched for with another hash)': () => {
    const rows = history('demo', [{ signer: ed }, { signer: stolen }]);
    return [...rows, event('demo', rows, reattesting(ed, rows, { hash: rows[0]?.hash }))];
  },
  'signer-compromised (after the trusted time)': () => history('demo', [{ signer: trusted }, { signer: trusted }]),
  'non-canonical': (rows) => respelt(rows),
};

const batchDamages: typeof damages = {
  'body-edited': (rows) => changed(rows, 8, ({ body }) => ({ body: forged(body) })),
  'hash-edited': (rows) => changed(rows, 8, () => ({ hash: 'ab'.repeat(32) })),
  'projection-edited': (rows) => changed(rows, 8, () => ({ eventType: 'agent.deleted' })),
  'projection-edited (a place beside a signature of its own)': (rows) =>
    changed(rows, 11, () => ({ batch: rows[7]?.batch })),
  'projection-edited (no switch)': () =>
    history('demo', [{ signer: ed }, { signer: ed, mode: 'batch' }, { signer: ed, mode: 'batch' }, { signer: ed }]),
  'projection-edited (no switch after a cover)': () =>
    history('demo', [
      { signer: null, type: 'agent.stopped' },
      { signer: ed, mode: 'batch', type: 'audit.deferred.covered', payload: { from: 1, to: 1 } },
      { signer: ed },
    ]),
  'projection-edited (a switch from another mode)': () =>
    history('demo', [{ signer: ed, type: 'audit.signmode.switched', payload: { from: 'batch', to: 'event' } }]),
  'signature-wrong': (rows) =>
    changed(rows, 8, ({ body }) => ({ body: forged(body), hash: sha256(forged(body)), payload: { forged: true } })),
  'signature-wrong (index)': (rows) => changed(rows, 8, (row) => place(row, ({ index }) => ({ index: index - 1 }))),
  'signature-wrong (size)': (rows) => changed(rows, 8, (row) => place(row, ({ size }) => ({ size: 2 * size }))),
  'signature-wrong (path)': (rows) =>
    changed(rows, 8, (row) => place(row, ({ path }) => ({ path: path.subarray(32) }))),
  'signature-wrong (no place)': (rows) => changed(rows, 8, () => ({ batch: undefined })),
  'signature-wrong (the places of two)': (rows) =>
    changed(
      changed(rows, 8, () => ({ batch: rows[8]?.batch })),
      9,
      () => ({ batch: rows[7]?.batch }),
    ),
  'signature-wrong (the other mode)': (rows) => changed(rows, 8, () => ({ signMode: 'event', batch: undefined })),
  "signature-wrong (an event's)": (rows) =>
    changed(rows, 8, ({ hash }) => ({ signature: signHash(ed.privateKey, hash) })),
  'signature-wrong-key': (rows) => changed(rows, 8, (row) => ({ signature: signatureBy(proof, row) })),
  'signature-wrong-algorithm': (rows) => changed(rows, 8, (row) => ({ signature: signatureBy(ec, row) })),
  gap: (rows) => rows.filter(({ seq }) => seq !== 4),
};

const cases = [
  ...Object.entries(damages).map(([name, damage]) => ({ name, damage, rows: honest })),
  ...Object.entries(batchDamages).map(([name, damage]) => ({ name, damage, rows: batched })),
];
for (const { name, damage, rows } of cases) {
  t.test(`both find ${name}${rows === batched ? ', in batches' : ''}`, { skip: missing }, async (t) => {
    const { second, ours } = await both(t, damage(rows.slice()));
    t.equal(second.ok, false);
    t.ok(ours.findings.some((finding: Finding) => name.startsWith(finding.class)));
    t.strictSame(
      second.findings,
      ours.findings.map(({ chain, seq, class: found }: Finding) => ({ chain, seq, class: found })),
    );
  });
}

function changed(rows: readonly Row[], seq: number, change: (row: Row) => Partial<Row>): Row[] {
  return rows.map((row) => (row.seq === seq ? { ...row, ...change(row) } : row));
}

/** The row with something else in its place in the batch. */
function place({ batch }: Row, change: (batch: Batch) => Partial<Batch>): Partial<Row> {
  return batch === undefined ? {} : { batch: { ...batch, ...change(batch) } };
}

function forged(body: Buffer): Buffer {
  return canonicalBody({ ...JSON.parse(body.toString('utf8')), payload: { forged: true } });
}

/** The last event signed over bytes with a space too many. */
function respelt(rows: readonly Row[]): Row[] {
  return changed(rows, rows.length, ({ body }) => {
    const spelt = Buffer.from(body.toString('utf8').replace(':', ': '));
    return { body: spelt, hash: sha256(spelt), signature: signHash(ed.privateKey, sha256(spelt)) };
  });
}
