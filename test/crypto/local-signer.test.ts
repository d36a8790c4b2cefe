import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, chownSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { SignerError } from '../../src/crypto/signer.ts';
import { KeyError, verificationKey, verifySignature } from '../../src/crypto/verify.ts';
import { createLocalSigner, generateEd25519 } from '../../src/signers/drivers/local/ed25519.ts';
import { createHmacSigner } from '../../src/signers/drivers/local/hmac.ts';
import { KeyFileError, readKeyFile } from '../../src/signers/drivers/local/key-file.ts';

/** Node cannot make a named pipe itself. */
const MAKE_PIPE = 'mkfifo';
const data = Buffer.from('what was decided');

t.test('Ed25519 signatures verify with the public half', async (t) => {
  const { privateKeyPem, publicKeyPem } = generateEd25519();
  const signer = createLocalSigner({ signerId: 'local-1', privateKeyPem });
  t.match(signer, { signerId: 'local-1', algorithm: 'Ed25519' });
  const signatures = await Promise.all(
    Array.from({ length: 64 }, (_, i) => signer.sign(Buffer.concat([data, Buffer.of(i)]))),
  );
  const key = verificationKey('Ed25519', publicKeyPem);
  for (const [i, signature] of signatures.entries()) {
    t.ok(verifySignature(key, Buffer.concat([data, Buffer.of(i)]), signature));
  }
  t.notOk(verifySignature(verificationKey('Ed25519', generateEd25519().publicKeyPem), data, await signer.sign(data)));
});

t.test('HMAC signatures verify with the secret', async (t) => {
  const secret = Buffer.alloc(32, 1);
  const signer = createHmacSigner({ signerId: 'shared-1', secret });
  const signature = await signer.sign(data);
  t.ok(verifySignature(verificationKey('HMAC-SHA256', secret), data, signature));
  t.notOk(verifySignature(verificationKey('HMAC-SHA256', Buffer.alloc(32, 2)), data, signature));
  t.throws(() => createHmacSigner({ signerId: 'shared-1', secret: Buffer.alloc(31) }), KeyError);
});

t.test('a cancelled signature is a signer error', async (t) => {
  const local = createLocalSigner({ signerId: 'local-1', privateKeyPem: generateEd25519().privateKeyPem });
  const shared = createHmacSigner({ signerId: 'shared-1', secret: Buffer.alloc(32) });
  for (const signer of [local, shared]) {
    await t.rejects(signer.sign(data, AbortSignal.abort()), { code: 'SIGNER_UNAVAILABLE', constructor: SignerError });
  }
});

t.test('takes an Ed25519 private key only, and never repeats it', async (t) => {
  const ec = generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey.export({
    type: 'pkcs8',
    format: 'pem',
  });
  for (const privateKeyPem of [ec.toString(), generateEd25519().publicKeyPem, '', 'c2VjcmV0']) {
    const error = t.throws(() => createLocalSigner({ signerId: 'local-1', privateKeyPem }), KeyError);
    t.notMatch(JSON.stringify(error), /c2VjcmV0/);
  }
});

t.test('a key file must be ours alone', async (t) => {
  const dir = t.testdir({ directory: {} });
  const safe = keyFile('safe');
  t.same(await readKeyFile(safe), Buffer.from('key'));
  chmodSync(safe, 0o400);
  t.same(await readKeyFile(safe), Buffer.from('key'), 'read-only');

  const fifo = join(dir, 'fifo');
  execFileSync(MAKE_PIPE, ['-m', '600', fifo]);
  const large = keyFile('large', 0o600, 'k'.repeat(65_537));
  const unsafe = { fifo, large, directory: join(dir, 'directory'), device: '/dev/null' };
  for (const [why, path] of Object.entries(unsafe)) {
    await t.rejects(readKeyFile(path), { code: 'KEY_FILE_UNSAFE' }, why);
  }
  for (const mode of [0o640, 0o620, 0o604, 0o602, 0o610, 0o601, 0o644]) {
    const path = keyFile(`mode-${mode.toString(8)}`, mode);
    await t.rejects(readKeyFile(path), { code: 'KEY_FILE_UNSAFE' }, mode.toString(8));
  }
  const missing = await readKeyFile(join(dir, 'missing')).catch((error: unknown) => error);
  t.ok(missing instanceof KeyFileError);
  t.match(missing, { code: 'KEY_FILE_UNREADABLE', message: /missing: cannot be opened/ });

  function keyFile(name: string, mode = 0o600, content = 'key'): string {
    const path = join(dir, name);
    writeFileSync(path, content);
    chmodSync(path, mode);
    return path;
  }
});

t.test(
  'a key file of another user is refused',
  { skip: process.getuid?.() !== 0 && 'only root can give a file away' },
  async (t) => {
    const path = join(t.testdir({ foreign: 'key' }), 'foreign');
    chmodSync(path, 0o600);
    chownSync(path, 65_534, 65_534);
    await t.rejects(readKeyFile(path), { code: 'KEY_FILE_UNSAFE', message: /another user/ });
  },
);
