import { X509Certificate } from 'node:crypto';
import { Enumerated, Null } from 'asn1js';
import t from 'tap';

import { type Issued, issue, makeAuthority } from '../../../src/certs/authority.ts';
import { type RevocationList, readRevocationLists } from '../../../src/identity/revocation/crl.ts';
import { compileLists, NO_LISTS, type RevocationLists } from '../../../src/identity/revocation/lists.ts';
import { inForce } from '../../certs/material.ts';
import { asPem, der, HOUR, type ListRequest, makeList, serialOf } from './lists.ts';

const [authority, other, namesake] = await Promise.all(
  ['clients', 'others', 'clients'].map((name) => makeAuthority(name, inForce)),
);
if (authority === undefined || other === undefined || namesake === undefined) throw new Error('not made');
const issuer = authority;
const client = await issue(authority, { commonName: 'c', names: [], usage: 'client', validity: inForce });
const serial = serialOf(client);
const [root, otherRoot, leaf] = [authority, other, client].map(({ cert }) => new X509Certificate(cert));
if (root === undefined || otherRoot === undefined || leaf === undefined) throw new Error('not read');
const chain = [leaf, root];
const authorities = [root, otherRoot];
const now = Date.now();

async function listed(request: ListRequest = {}, by: Issued = issuer): Promise<RevocationList[]> {
  return readRevocationLists(await makeList(by, request));
}

function compiled(lists: RevocationList[], before: RevocationLists = NO_LISTS): RevocationLists {
  return compileLists(lists, { authorities, before, now });
}

t.test('what a list says', async (t) => {
  const [list] = await listed({ serials: [serial, '01', '00ab'], number: 4096 });
  t.equal(list?.number, 4096n);
  t.same([...(list?.revoked ?? [])], [serial.replace(/^0+/, ''), '1', 'AB']);
  t.equal(list?.signed.algorithm, '1.2.840.113549.1.1.11');
  t.ok((list?.nextUpdate ?? 0) > now && (list?.thisUpdate ?? now) < now);
  t.equal((await listed({ number: undefined }))[0]?.number, undefined);
});

t.test('files: PEM, DER, several lists, and none that is half', async (t) => {
  const [one, two] = [await makeList(authority), await makeList(other)];
  t.equal(readRevocationLists(one).length, 1);
  t.equal(readRevocationLists(asPem(one, two)).length, 2);
  const broken: Record<string, Buffer> = {
    empty: Buffer.alloc(0),
    'no list': Buffer.from('nothing here\n'),
    'half a PEM file': asPem(one, two).subarray(0, -100),
    'half DER': one.subarray(0, -10),
    'more behind it': Buffer.concat([one, Buffer.from([0])]),
    'two lists in DER': Buffer.concat([one, two]),
    'a certificate beside it': Buffer.concat([asPem(one), Buffer.from(authority.cert)]),
    'a certificate': Buffer.from(authority.cert),
    'no base64': Buffer.from('-----BEGIN X509 CRL-----\n====\n-----END X509 CRL-----\n'),
  };
  for (const [why, file] of Object.entries(broken)) {
    t.throws(() => readRevocationLists(file), { name: 'RevocationInvalid' }, why);
  }
});

t.test('no part of a list may be missing or cut', async (t) => {
  const whole = await makeList(authority, { serials: [serial, '02', '03'] });
  for (let length = 0; length < whole.length; length += 1) {
    t.throws(() => readRevocationLists(whole.subarray(0, length)), { name: 'RevocationInvalid' }, `${length} bytes`);
  }
});

t.test('a list with any bit turned is no list of the authority', async (t) => {
  const whole = await makeList(authority, { serials: [serial] });
  let refused = 0;
  for (let at = 0; at < whole.length; at += 1) {
    const turned = Buffer.from(whole);
    turned[at] = (turned[at] ?? 0) ^ 0x04;
    try {
      compileLists(readRevocationLists(turned), { authorities, before: NO_LISTS, now });
    } catch (error) {
      if (error instanceof Error && error.name === 'RevocationInvalid') refused += 1;
      else throw error;
    }
  }
  t.equal(refused, whole.length);
});

t.test('lists that are not read', async (t) => {
  const critical = { critical: true, value: der(new Null()) };
  const refused: Record<string, ListRequest> = {
    'a delta': { extensions: [{ id: '2.5.29.27', critical: true, value: Uint8Array.of(2, 1, 1) }] },
    'a delta that does not say so aloud': {
      extensions: [{ id: '2.5.29.27', critical: false, value: Uint8Array.of(2, 1, 1) }],
    },
    'a part of what was issued': { extensions: [{ ...critical, id: '2.5.29.28' }] },
    'a critical extension': { extensions: [{ ...critical, id: '1.2.3.4' }] },
    'a critical extension of an entry': { serials: ['01'], entryExtensions: [{ ...critical, id: '2.5.29.29' }] },
    'an entry that takes back': {
      serials: ['01'],
      entryExtensions: [{ id: '2.5.29.21', critical: false, value: der(new Enumerated({ value: 8 })) }],
    },
    'no end': { nextUpdate: null },
    'a number that is none': {
      number: undefined,
      extensions: [{ id: '2.5.29.20', critical: false, value: Uint8Array.of(4, 1, 1) }],
    },
    'a number that is too long': {
      number: undefined,
      extensions: [{ id: '2.5.29.20', critical: false, value: Uint8Array.of(2, 21, ...new Uint8Array(21)) }],
    },
  };
  for (const [why, request] of Object.entries(refused)) {
    await t.rejects(listed(request), { name: 'RevocationInvalid' }, why);
  }
  const harmless = { id: '1.2.3.4', critical: false, value: der(new Null()) };
  const reason = { id: '2.5.29.21', critical: false, value: der(new Enumerated({ value: 6 })) };
  const [held] = await listed({ serials: ['01'], extensions: [harmless], entryExtensions: [reason] });
  t.ok(held?.revoked.has('1'), 'on hold is revoked');
});

t.test('who is revoked', async (t) => {
  const lists = compiled(await listed({ serials: [serial] }));
  t.match(lists.standingOf(chain, now), { status: 'revoked' });
  const clean = compiled(await listed({ serials: ['01'] }));
  t.match(clean.standingOf(chain, now), { status: 'good' });
  t.match(clean.standingOf(chain, now + 2 * HOUR), { status: 'unknown' }, 'nobody knows once the list is over');
  t.equal(clean.standingOf(chain, now).until, clean.lists[0]?.nextUpdate);
  t.match(
    compiled(await listed({ serials: [serial] }, other)).standingOf(chain, now),
    { status: 'unknown' },
    "another's",
  );
  t.match(NO_LISTS.standingOf(chain, now), { status: 'unknown' });
  t.match(clean.standingOf([leaf], now), { status: 'unknown' }, 'no issuer');
  const both = compiled([
    ...(await listed({ serials: ['01'], number: 1 })),
    ...(await listed({ serials: [serial], number: 2 })),
  ]);
  t.match(both.standingOf(chain, now), { status: 'revoked' }, 'of two lists the newer');
});

t.test('who signs', async (t) => {
  const forged = await listed({ inTheNameOf: authority }, other);
  t.throws(() => compiled(forged), /not signed by the authority/);
  const weak = await listed({ hash: 'SHA-1' });
  t.throws(() => compiled(weak), /not signed by the authority/, 'SHA-1');
  t.doesNotThrow(async () => compiled(await listed({ hash: 'SHA-384' })));
  const stranger = await listed({}, await makeAuthority('stranger', inForce));
  t.throws(() => compiled(stranger), /of no authority of the client CA file/, 'a list of nobody that is trusted');
  const twin = new X509Certificate(namesake.cert);
  const rolled = compileLists(
    [...(await listed({ serials: ['01'] })), ...(await listed({ serials: [serial] }, namesake))],
    {
      authorities: [root, twin],
      before: NO_LISTS,
      now,
    },
  );
  t.match(rolled.standingOf(chain, now), { status: 'good' }, 'each key of one name has a list of its own');
});

t.test('which list takes the place of which', async (t) => {
  const second = compiled(await listed({ number: 2, serials: [serial] }));
  const older = await listed({ number: 1 });
  t.throws(() => compiled(older, second), /older/);
  const numberless = await listed({ number: undefined, thisUpdate: now - 2 * HOUR });
  t.throws(() => compiled(numberless, second), /older/);
  const newer = await listed({ number: 3 });
  t.match(compiled(newer, second).standingOf(chain, now), { status: 'good' });
  const others = [...(await listed({ number: 3 })), ...(await listed({ number: 1 }, other))];
  t.doesNotThrow(() => compiled(others, second), "numbers are each authority's own");
  const over = await listed({ number: 3, thisUpdate: now - 2 * HOUR, nextUpdate: now - HOUR });
  t.throws(() => compiled(over, second), /is over/);
  t.match(compiled(over).standingOf(chain, now), { status: 'unknown' }, 'at a start: it is there, and lets nobody in');
  const early = await listed({ thisUpdate: now + HOUR, nextUpdate: now + 2 * HOUR });
  t.throws(() => compiled(early), /to come/);
  const backwards = await listed({ thisUpdate: now - HOUR, nextUpdate: now - 2 * HOUR });
  t.throws(() => compiled(backwards), /before it begins/);
});
