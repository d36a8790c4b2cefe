import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';

import { createAskKernel, readKernelFiles } from '../../src/manifests/kernel-api.ts';
import { createKernelSigners } from '../../src/manifests/kernel-signers.ts';
import { testCertificates } from '../support/service.ts';
import { type KernelFault, TOKEN, testKernel } from './kernel.ts';
import { newKey } from './support.ts';

const certsDir = await testCertificates(t);
const kernel = await testKernel(t, certsDir);
const UNAVAILABLE = { code: 'KERNEL_UNAVAILABLE' };

const config = {
  url: kernel.url,
  caFile: join(certsDir, 'ca.crt'),
  certFile: join(certsDir, 'orchestrator.crt'),
  keyFile: join(certsDir, 'orchestrator.key'),
  token: TOKEN,
  cacheMs: 60_000,
};

t.beforeEach(() => {
  kernel.asked.length = 0;
  kernel.entries.clear();
  kernel.fault = undefined;
  kernel.gate = undefined;
});

function entryOf(signerId: string, changed: object = {}) {
  const { alg, publicKey } = newKey('Ed25519', signerId);
  return {
    signerId,
    alg,
    publicKey,
    purpose: 'manifest',
    state: 'active',
    notBefore: null,
    notAfter: null,
    ...changed,
  };
}

function lookUps(changed: Partial<typeof config> = {}, deadlineMs = 2_000) {
  const time = { now: 0 };
  const ask = createAskKernel({ ...config, ...changed });
  return { time, ...createKernelSigners({ ask, cacheMs: config.cacheMs, now: () => time.now, deadlineMs }) };
}

t.test('an entry is asked for once in its time, and so is that there is none', async (t) => {
  const { find, time } = lookUps();
  kernel.entries.set('kernel/1', entryOf('kernel/1', { more: 'than we know' }));
  t.match(await find('kernel/1'), { purpose: 'manifest', state: 'active', key: { algorithm: 'Ed25519' } });
  t.equal(await find('nobody'), undefined);
  time.now = 59_999;
  await find('kernel/1');
  kernel.entries.set('nobody', entryOf('nobody'));
  t.equal(await find('nobody'), undefined);
  t.same(kernel.asked, ['/kernel/signers/kernel%2F1', '/kernel/signers/nobody'], 'nothing in an id is a path');
  time.now = 60_000;
  kernel.entries.set('kernel/1', entryOf('kernel/1', { state: 'revoked' }));
  t.match(await find('kernel/1'), { state: 'revoked' });
  t.match(await find('nobody'), { state: 'active' });
  kernel.entries.delete('kernel/1');
  time.now = 120_000;
  t.equal(await find('kernel/1'), undefined);
});

t.test('those who ask at the same time share an answer, and too many questions are refused', async (t) => {
  const { find } = lookUps();
  const { promise, resolve: open } = Promise.withResolvers<void>();
  kernel.gate = promise;
  kernel.entries.set('shared', entryOf('shared'));
  const same = Array.from({ length: 20 }, () => find('shared'));
  const others = Array.from({ length: 15 }, (_, n) => find(`other-${n}`));
  await t.rejects(find('one-too-many'), UNAVAILABLE);
  open();
  t.equal((await Promise.all(same)).length, 20);
  await Promise.all(others);
  t.equal(kernel.asked.filter((path) => path.endsWith('/shared')).length, 1);
  t.equal(await find('one-too-many'), undefined);
});

t.test('made-up ids do not push out the signers that there are', async (t) => {
  const answers = new Map([['real', { purpose: 'manifest', state: 'active', key: undefined }]]);
  const asked: string[] = [];
  const ask = async (signerId: string) => {
    asked.push(signerId);
    return answers.get(signerId);
  };
  const { find } = createKernelSigners({ ask, cacheMs: 1_000, now: () => 0 });
  await find('real');
  for (let n = 0; n < 1_001; n += 1) await find(`made-up-${n}`);
  asked.length = 0;
  await find('real');
  await find('made-up-1000');
  t.same(asked, []);
  await find('made-up-0');
  t.same(asked, ['made-up-0'], 'the oldest is forgotten');
});

t.test('what goes wrong is no answer, and is not kept', async (t) => {
  const { find } = lookUps({}, 300);
  kernel.entries.set('a', entryOf('a'));
  const faults: readonly KernelFault[] = [
    'error',
    'html',
    'encoded',
    'no-json',
    'twice',
    'redirect',
    'half',
    'endless',
    'silence',
  ];
  for (const fault of faults) {
    kernel.fault = fault;
    await t.rejects(find('a'), UNAVAILABLE, fault);
  }
  t.notOk(
    kernel.asked.some((path) => path.includes('elsewhere')),
    'no redirect is followed',
  );
  kernel.fault = undefined;
  t.match(await find('a'), { state: 'active' });
});

t.test('an answer that is no entry of that signer', async (t) => {
  const { find } = lookUps();
  const wrong: Readonly<Record<string, object>> = {
    'another signer': entryOf('b'),
    'no id': { ...entryOf('a'), signerId: undefined },
    'an unknown algorithm': entryOf('a', { alg: 'none' }),
    'a key that is no text': entryOf('a', { publicKey: 1 }),
    'no state': { ...entryOf('a'), state: undefined },
    'a time with an offset': entryOf('a', { notAfter: '2030-01-01T00:00:00+01:00' }),
    'a time that is none': entryOf('a', { notAfter: '2030-99-01T00:00:00Z' }),
    'a list': [entryOf('a')],
  };
  for (const [why, entry] of Object.entries(wrong)) {
    kernel.entries.set('a', { ...entry });
    await t.rejects(find('a'), UNAVAILABLE, why);
  }
  for (const changed of [{ publicKey: 'no key' }, { alg: 'RSA-PSS-SHA256' }, { alg: 'HMAC-SHA256', publicKey: null }]) {
    kernel.entries.set('a', entryOf('a', changed));
    t.match(await lookUps().find('a'), { key: undefined }, JSON.stringify(changed));
  }
});

t.test('who is not let in, and whom we do not trust', async (t) => {
  kernel.entries.set('a', entryOf('a'));
  const wrong = [{ token: 'another' }, { certFile: undefined, keyFile: undefined }, { caFile: undefined }];
  for (const changed of wrong) {
    const { find } = lookUps({ ...changed } as Partial<typeof config>);
    await t.rejects(find('a'), UNAVAILABLE, JSON.stringify(changed));
  }
  const nobody = lookUps({ url: 'https://127.0.0.1:1' });
  const error = await nobody.find('a').catch((thrown: Error) => thrown);
  t.match(error, UNAVAILABLE);
  t.notMatch(JSON.stringify(error, Object.getOwnPropertyNames(error)), TOKEN, 'the token is in no error');
});

t.test('files that are no PEM are found at the start, and later when they were replaced', async (t) => {
  const dir = t.testdir({ 'ca.crt': 'no certificate' });
  const caFile = join(dir, 'ca.crt');
  const wrong = { code: 'BAD_CONFIGURATION' };
  await t.rejects(readKernelFiles({ ...config, caFile }), { ...wrong, message: /not usable PEM/ });
  await t.rejects(readKernelFiles({ ...config, caFile: join(dir, 'none') }), { ...wrong, message: /cannot be read/ });
  const keyFile = join(certsDir, 'operator.key');
  await t.rejects(readKernelFiles({ ...config, keyFile }), { ...wrong, message: /not usable PEM/ });
  const { find } = lookUps({ caFile });
  kernel.entries.set('a', entryOf('a'));
  await t.rejects(find('a'), UNAVAILABLE);
  await writeFile(caFile, (await readKernelFiles(config)).ca ?? '');
  t.match(await find('a'), { state: 'active' });
});
