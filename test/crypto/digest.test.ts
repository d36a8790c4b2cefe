import t from 'tap';
import { decodeBase64 } from '../../src/crypto/base64.ts';
import { isDigest, sha256, sha256Digest, sha256Hex } from '../../src/crypto/digest.ts';

// FIPS 180-2 appendix B.1.
const ABC = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';

t.equal(sha256Hex('abc'), ABC);
t.equal(sha256Hex(Buffer.from('abc')), ABC, 'text is hashed as UTF-8');
t.equal(sha256('abc').toString('hex'), ABC);
t.equal(sha256Digest('abc'), `sha256:${ABC}`);

t.ok(isDigest(`sha256:${ABC}`));
for (const other of [
  ABC,
  `SHA256:${ABC}`,
  `sha256:${ABC.toUpperCase()}`,
  `sha256:${ABC} `,
  `sha256:${ABC}\n`,
  7,
  null,
]) {
  t.notOk(isDigest(other), `not a digest: ${JSON.stringify(other)}`);
}

t.same(decodeBase64('AQI='), Buffer.from([1, 2]));
t.same(decodeBase64(''), Buffer.alloc(0));
for (const other of ['AQI', 'AQJ=', 'AQ=I', 'AQI=\n', 'A_I=', '====', 'AQI=AQI=']) {
  t.equal(decodeBase64(other), undefined, `not canonical base64: ${JSON.stringify(other)}`);
}
