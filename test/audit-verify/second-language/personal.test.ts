import { createHmac, randomBytes } from 'node:crypto';
import t from 'tap';
import { missing, secondAndOurs } from '../support/both.ts';
import { history, type Step } from '../support/history.ts';
import { testSigner } from '../support/keys.ts';

const signer = testSigner('ed');
const salt = randomBytes(32);
const text = 'Zoë asked “now”';
const c = createHmac('sha256', salt).update(text).digest('hex');
const stopped = { signer, type: 'agent.stopped', payload: { agentId: 'a', reason: { c } } };

const LINES = [
  { why: 'without personal texts', values: undefined, found: [] },
  { why: 'with the text committed to', values: [{ member: 'reason', value: text, salt }], found: [] },
  { why: 'with another text', values: [{ member: 'reason', value: `${text} `, salt }], found: [2] },
  {
    why: 'with a salt that is longer by what HMAC ignores',
    values: [{ member: 'reason', value: text, salt: Buffer.concat([salt, Buffer.alloc(1)]) }],
    found: [2],
  },
  { why: 'with a text that nothing commits to', values: [{ member: 'agentId', value: 'a', salt }], found: [2] },
];

for (const { why, values, found } of LINES) {
  t.test(`both judge a line ${why}`, { skip: missing }, async (t) => {
    const steps: Step[] = [{ signer }, stopped, { signer }];
    const rows = history('demo', steps).map((row) =>
      row.seq === 2 && values !== undefined ? { ...row, personal: { values, complete: false } } : row,
    );
    const { second, ours } = await secondAndOurs(t, rows, { registry: { signers: [signer] } });
    const expected = found.map((seq) => ({ chain: 'demo', seq, class: 'projection-edited' }));
    t.strictSame(second.findings, expected);
    t.match(ours.findings, expected);
    t.equal(ours.findings.length, expected.length);
    t.equal(second.ok, found.length === 0);
  });
}
