import { execFileSync } from 'node:child_process';
import { mkdtemp, open, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import forge from 'node-forge';
import t, { type Test } from 'tap';

import { createScan, scanFile } from '../../src/secrets/scan-file.ts';
import { generated, pemKeys, random } from './samples.ts';

const MIB = 1024 * 1024;

async function temporary(t: Test): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'castellan-test-secrets-'));
  t.teardown(() => rm(dir, { recursive: true }));
  return dir;
}

t.test('a boundary of pieces hides nothing, reports nothing twice and keeps the line', async (t) => {
  const [, key = ''] = pemKeys()[0] ?? [];
  const parts = [key, `password = "${generated(32)}"\n`, `npm${'_'}${random(36)}\n`, 'words and words\n', '\n\n'];
  const sizes = { before: 256, after: 1024 };
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(...parts), { minLength: 20, maxLength: 60, size: 'max' }),
      fc.array(fc.integer({ min: 50, max: 2000 }), { minLength: 1, maxLength: 20 }),
      (chosen, lengths) => {
        const text = Buffer.from(`x\n${chosen.join('')}`);
        const whole = createScan();
        whole.add(text);
        const inPieces = createScan(sizes);
        for (let at = 0, turn = 0; at < text.length; turn += 1) {
          const length = lengths[turn % lengths.length] ?? 1;
          inPieces.add(text.subarray(at, at + length));
          at += length;
        }
        t.strictSame(inPieces.end(), whole.end());
      },
    ),
    { numRuns: 40 },
  );
});

/** So large that what the collector leaves lying about for a while does not count. */
const SIZE_MIB = 300;

t.test('a large file, in bounded memory', async (t) => {
  const path = join(await temporary(t), 'large.txt');
  const file = await open(path, 'w');
  const filler = Buffer.alloc(MIB, `${'words '.repeat(20)}\n`);
  const lines = filler.toString('latin1').split('\n').length - 1;
  for (let count = 0; count < SIZE_MIB; count += 1) await file.write(filler);
  await file.write(`\ntoken = "${generated(32)}"\n`);
  await file.close();
  const before = process.memoryUsage().rss;
  const scan = await scanFile(path);
  t.match(scan?.findings, [{ line: lines * SIZE_MIB + 2, kind: 'generic-secret', fingerprint: /^[0-9a-f]{8}$/ }]);
  t.ok(process.memoryUsage().rss - before < (SIZE_MIB / 2) * MIB, 'far less than the file');
});

t.test('binary files: looked through up to a limit, and beyond it said', async (t) => {
  const dir = await temporary(t);
  const [, key = ''] = pemKeys()[0] ?? [];
  await writeFile(join(dir, 'small.bin'), `\0\0\0${key}`, 'latin1');
  t.match(await scanFile(join(dir, 'small.bin')), { findings: [{ kind: 'pem-private-key' }], skipped: undefined });
  await writeFile(join(dir, 'large.bin'), Buffer.alloc(17 * MIB));
  t.same(await scanFile(join(dir, 'large.bin')), { findings: [], skipped: `binary of ${17 * MIB} bytes` });
});

t.test('keys as binary files, and text in UTF-16', async (t) => {
  const dir = await temporary(t);
  const [, key = ''] = pemKeys()[0] ?? [];
  await writeFile(join(dir, 'utf16.txt'), Buffer.from(`\ufeff\r\n${key}`, 'utf16le'));
  t.match(await scanFile(join(dir, 'utf16.txt')), { findings: [{ kind: 'pem-private-key', line: 2 }] });

  const forms = pemKeys().filter(([what]) => /^(PKCS#8(, enciphered|, RSA)?|PKCS#1|SEC 1)$/.test(what));
  t.equal(forms.length, 5);
  for (const [what, text] of forms) {
    const der = Buffer.from(text.replaceAll(/-----[^-]+-----|\n/g, ''), 'base64');
    await writeFile(join(dir, 'key.der'), der);
    const kinds = (await scanFile(join(dir, 'key.der')))?.findings.map(({ kind }) => kind);
    t.same(kinds, [what.includes('enciphered') ? 'der-private-key-encrypted' : 'der-private-key'], what);
  }

  const rsa = forge.pki.rsa.generateKeyPair(1024);
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = rsa.publicKey;
  certificate.sign(rsa.privateKey);
  const p12 = forge.pkcs12.toPkcs12Asn1(rsa.privateKey, [certificate], 'x', { algorithm: '3des' });
  await writeFile(join(dir, 'store'), Buffer.from(forge.asn1.toDer(p12).getBytes(), 'latin1'));
  t.match(await scanFile(join(dir, 'store')), { findings: [{ kind: 'pkcs12-file', line: 1 }] });
});

t.test('only regular files, and no link', { skip: process.platform === 'win32' }, async (t) => {
  const dir = await temporary(t);
  execFileSync('mkfifo', [join(dir, 'pipe')]);
  t.equal(await scanFile(join(dir, 'pipe')), undefined, 'a pipe does not block');
  await writeFile(join(dir, 'file'), '');
  await symlink(join(dir, 'file'), join(dir, 'link'));
  await t.rejects(scanFile(join(dir, 'link')), { code: 'ELOOP' });
});
