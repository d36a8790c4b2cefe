import { createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto';
import t from 'tap';

import { fromP1363, isLowSDer, toLowS, toP1363 } from '../../src/crypto/ecdsa.ts';
import fc from '../support/fast-check.ts';

const ORDER = 'ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551';
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const publicKey = createPublicKey(privateKey);

t.test('r || s becomes the one spelling in DER, and back', async () => {
  fc.assert(
    fc.property(fc.uint8Array(), (data) => {
      const raw = sign('sha256', data, { key: privateKey, dsaEncoding: 'ieee-p1363' });
      const der = fromP1363(raw);
      if (der === undefined || !isLowSDer(der) || !verify('sha256', data, publicKey, der)) return false;
      return toLowS(der)?.equals(der) === true && fromP1363(toP1363(der) ?? raw)?.equals(der) === true;
    }),
  );
});

t.test('what is no signature', async (t) => {
  const one = `${'0'.repeat(63)}1`;
  for (const hex of ['', one, `${one}${one}00`, `${'0'.repeat(64)}${one}`, `${one}${ORDER}`, `${ORDER}${one}`]) {
    t.equal(fromP1363(Buffer.from(hex, 'hex')), undefined, hex);
  }
  t.equal(fromP1363(Buffer.from(`${one}${one}`, 'hex'))?.toString('hex'), '3006020101020101');
  t.equal(toP1363(Buffer.from('3006020101020101', 'hex'))?.toString('hex'), `${one}${one}`);
  t.equal(toP1363(Buffer.from('3006020101020100', 'hex')), undefined, 'zero');
  t.equal(toP1363(Buffer.alloc(64, 1)), undefined, 'no DER');
});
