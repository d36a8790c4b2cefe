import t from 'tap';

import { createAllowlist } from '../../src/egress/allowlist.ts';
import { readName } from '../../src/egress/target.ts';
import fc from '../support/fast-check.ts';

const label = fc.stringMatching(/^[a-z]([a-z0-9-]{0,8}[a-z0-9])?$/);
const name = fc.array(label, { minLength: 1, maxLength: 5 }).map((labels) => labels.join('.'));

t.test('an exact entry is that name and no other', async () => {
  fc.assert(fc.property(name, name, (entry, host) => createAllowlist([entry])(host) === (entry === host)));
});

t.test('an entry with a star is every name below it, and nothing else', async () => {
  fc.assert(
    fc.property(name, name, label, (entry, host, below) => {
      const allows = createAllowlist([`*.${entry}`]);
      const right = allows(`${below}.${entry}`) && allows(`${host}.${entry}`) && !allows(entry);
      return right && allows(host) === host.endsWith(`.${entry}`) && !allows(`${below}${entry}`);
    }),
  );
});

t.test('more entries never allow less', async () => {
  fc.assert(
    fc.property(fc.array(name), name, name, (entries, more, host) => {
      return !createAllowlist(entries)(host) || createAllowlist([...entries, more, `*.${more}`])(host);
    }),
  );
});

t.test('case and a dot at the end make no other name', async () => {
  fc.assert(fc.property(name, fc.boolean(), (host, dot) => readName(host.toUpperCase() + (dot ? '.' : '')) === host));
});

t.test('letters that only become ASCII by a change of case', async (t) => {
  t.equal(readName('\u212a.example'), 'BAD_TARGET', 'KELVIN SIGN, whose lower case is k');
  t.notOk(createAllowlist(['\u212a.example'])('k.example'));
});

t.test('whatever is written, it is a name of DNS or none', async () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const read = readName(text);
      return read === 'BAD_TARGET' || read === 'IP_LITERAL' || /^[a-z0-9_-]+(\.[a-z0-9_-]+)*$/.test(read);
    }),
  );
});

t.test('an address in any spelling is no name', async () => {
  fc.assert(
    fc.property(fc.ipV4Extended(), fc.ipV6(), (v4, v6) => {
      return readName(v4) === 'IP_LITERAL' && readName(v6) === 'IP_LITERAL' && readName(`[${v6}]`) === 'IP_LITERAL';
    }),
  );
});

t.test('entries that allow nothing', async (t) => {
  const entries = [
    '',
    '*',
    '*.',
    '*.*',
    '**.example',
    'a.*.example',
    '*example',
    '127.0.0.1',
    '*.1',
    '[::1]',
    '.example',
  ];
  const allows = createAllowlist(entries);
  for (const host of ['example', 'a.example', 'a.b.example', 'x', '1', '127.0.0.1']) t.notOk(allows(host), host);
  t.notOk(createAllowlist([])('a.example'), 'and no entry at all allows nothing');
});
