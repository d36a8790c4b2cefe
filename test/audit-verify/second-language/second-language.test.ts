import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import t from 'tap';

import { toExportLine } from '../../../src/audit/verify/export-line.ts';
import { mth } from '../../transparency/support/reference.ts';
import { canonicalBody, EPOCH, event, history, type Row, type Step, sha256 } from '../support/history.ts';
import { signHash, testSigner } from '../support/keys.ts';
import { verifyHere } from '../support/run.ts';

const SCRIPT = fileURLToPath(new URL('verify.py', import.meta.url));
const missing = spawnSync('python3', ['--version']).status !== 0 && 'python3 is not installed';

const at = (ms: number) => new Date(EPOCH + ms).toISOString();
const ed = testSigner('ed');
const ec = testSigner('ec', 'ECDSA-P256-SHA256');
const rsa = testSigner('rsa', 'RSA-PSS-SHA256');
const ended = { ...testSigner('ended'), state: 'retired', notAfter: at(-3_600_000) };
const stolen = { ...testSigner('stolen'), state: 'compromised', revokedAt: at(-3_600_000) };
const proof = { ...testSigner('proof'), purpose: 'proof' };
const signers = [ed, ec, rsa, ended, stolen, proof];

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
  'non-canonical': (rows) => respelt(rows),
};

for (const [name, damage] of Object.entries(damages)) {
  t.test(`both find ${name}`, { skip: missing }, async (t) => {
    const { second, ours } = await both(t, damage(honest.slice()));
    t.equal(second.ok, false);
    t.ok(ours.findings.some((finding: Finding) => name.startsWith(finding.class)));
    t.strictSame(
      second.findings,
      ours.findings.map(({ chain, seq, class: found }: Finding) => ({ chain, seq, class: found })),
    );
  });
}

interface Finding {
  chain: string;
  seq: number;
  class: string;
}

async function both(t: { testdir(files: Record<string, string>): string }, rows: readonly Row[]) {
  const lines = rows.map((row) => toExportLine({ ...row, payload: JSON.stringify(row.payload) }));
  const registry = { signers: signers.map(({ privateKey, ...entry }) => entry) };
  const dir = t.testdir({ 'signers.json': JSON.stringify(registry) });
  const [log, keys] = [join(dir, 'log.jsonl'), join(dir, 'signers.json')];
  writeFileSync(log, `${lines.join('\n')}\n`);
  const { stdout, stderr } = spawnSync('python3', [SCRIPT, log, keys], { encoding: 'utf8' });
  if (stdout === '') throw new Error(stderr);
  const { report } = await verifyHere(['--export', log, '--signers', keys]);
  return { second: JSON.parse(stdout), ours: report };
}

function changed(rows: readonly Row[], seq: number, change: (row: Row) => Partial<Row>): Row[] {
  return rows.map((row) => (row.seq === seq ? { ...row, ...change(row) } : row));
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
