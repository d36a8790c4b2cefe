import { createHash, createHmac, createPublicKey, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';

import t from 'tap';

import { EVENT_TYPES } from '../../../src/audit/event-types.ts';
import { FINDING_CLASSES } from '../../../src/audit/verify/finding.ts';
import { mth, path } from '../../transparency/support/reference.ts';

const DOCUMENT = readFileSync(new URL('../../../docs/audit-format.md', import.meta.url), 'utf8');
const indented = DOCUMENT.slice(DOCUMENT.indexOf('## 12.'))
  .split('\n')
  .filter((line) => line.startsWith('    '))
  .map((line) => line.slice(4));

t.test('every event type stands in the document with the members of its payload', async (t) => {
  const rows = Object.entries(EVENT_TYPES).map(([name, { properties, required }]) => {
    const always = new Set<string>(required);
    const members = Object.keys(properties).map((member) => (always.has(member) ? member : `${member}?`));
    return `| \`${name}\` | ${members.join(', ')} |`;
  });
  const [, table = ''] = /\| type \| payload \|\n\|---\|---\|\n([^#]*)\n\n## 12/.exec(DOCUMENT) ?? [];
  t.equal(table, rows.join('\n'));
});

t.test('every class stands in the document, and no other', async (t) => {
  const section = DOCUMENT.slice(DOCUMENT.indexOf('## 9.'), DOCUMENT.indexOf('## 10.'));
  const named = Array.from(section.matchAll(/^\| `([^`]+)` \|/gm), ([, name]) => name);
  t.strictSame(named.sort(), [...FINDING_CLASSES].sort());
});

t.test('the worked example is what it says', async (t) => {
  const key = createPublicKey(indented.slice(0, 3).join('\n'));
  const bodies: Buffer[] = [];
  for (const at of [3, 7]) {
    const [body = '', hash = '', message = '', signature = ''] = indented.slice(at, at + 4);
    t.equal(createHash('sha256').update(body).digest('hex'), hash);
    const expected = Buffer.concat([
      Buffer.from('DSSEv1 40 application/vnd.castellan.audit-event.v1 32 '),
      Buffer.from(hash, 'hex'),
    ]);
    t.equal(message, expected.toString('hex'));
    t.match(DOCUMENT, `= ${expected.length} bytes)`);
    t.ok(verify(null, Buffer.from(message, 'hex'), key, Buffer.from(signature, 'base64')));
    bodies.push(Buffer.from(body));
  }
  t.match(DOCUMENT, `its body (${bodies[0]?.length} bytes`);
  const [, text = '', salt = ''] = /commits to `(\w+)` with the salt `([0-9a-f]{64})`/.exec(DOCUMENT) ?? [];
  const c = createHmac('sha256', Buffer.from(salt, 'hex')).update(text).digest('hex');
  t.strictSame(JSON.parse(String(bodies[1])).payload.reason, { c });
  const [first, second, root, entry = '', , origin, size, top, note = '', ...batch] = indented.slice(11);
  t.strictSame(
    [first, second],
    bodies.map((body) => mth([body]).toString('hex')),
  );
  t.equal(root, mth(bodies).toString('hex'));
  t.equal(JSON.parse(entry).root, mth(bodies).toString('base64'));
  t.equal(top, mth([Buffer.from(entry)]).toString('base64'));
  const line = Buffer.from(note.replace('— castellan ', ''), 'base64');
  t.ok(verify(null, Buffer.from(`${origin}\n${size}\n${top}\n`), key, line.subarray(4)));
  t.equal(indented[15]?.split('+')[1], line.subarray(0, 4).toString('hex'));

  const [foreign = '', ...rest] = batch;
  const hashes = [3, 7].map((at) => indented[at + 1] ?? '').concat(foreign);
  const entries = hashes.map((hash) => Buffer.from(hash, 'hex'));
  const [message = '', signature = ''] = rest.slice(5);
  const signed = Buffer.concat([Buffer.from('DSSEv1 40 application/vnd.castellan.audit-batch.v1 32 '), mth(entries)]);
  t.strictSame(
    rest.slice(0, 6),
    [...entries.map((hash) => mth([hash])), mth(entries.slice(0, 2)), mth(entries), signed].map(hex),
  );
  t.ok(verify(null, Buffer.from(message, 'hex'), key, Buffer.from(signature, 'base64')));
  const places = entries.map((_, index) => ({ index, size: 3, path: path(index, entries).map(base64) }));
  t.strictSame(
    rest.slice(7, 10).map((text) => JSON.parse(text)),
    places.map((batch) => ({ batch })),
  );
});

function hex(bytes: Buffer): string {
  return bytes.toString('hex');
}

function base64(bytes: Buffer): string {
  return bytes.toString('base64');
}
