import { constants, verify } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import t, { type Test } from 'tap';

import { SignerError } from '../../../src/crypto/signer.ts';
import { KeyError } from '../../../src/crypto/verify.ts';
import type { TokenAlgorithm } from '../../../src/signers/drivers/pkcs11/messages.ts';
import {
  openPkcs11Signer,
  type Pkcs11SignerOptions,
  verifyWithToken,
} from '../../../src/signers/drivers/pkcs11/pkcs11-signer.ts';
import type { RemoteSigner } from '../../../src/signers/drivers/remote-signer.ts';
import {
  type FaultyHsm,
  faultyHsm,
  type KeyRequest,
  missingFaultyHsm,
  missingHsm,
  type SoftHsm,
  softHsm,
} from '../../support/hsm/soft-hsm.ts';
import { until } from '../../support/process.ts';
import { conformance, remoteConformance } from './conformance.ts';

const DATA = Buffer.from('what was decided');
const KEYS: readonly (KeyRequest & { kind: TokenAlgorithm })[] = [
  { kind: 'Ed25519', label: 'audit', id: '0a01' },
  { kind: 'ECDSA-P256-SHA256', label: 'proof', id: '0a02' },
  { kind: 'RSA-PSS-SHA256', label: 'rsa', id: '0a03' },
];
const KEY = 'audit';
const PASSING = ['crash', 'session-lost', 'token-removed'];
const FAULTS = [
  ...PASSING,
  'device-error',
  'half-signature',
  'logged-out',
  'no-mechanism',
  'no-signature',
  'vendor-error',
  'wrong-signature',
];
/** Says of a module that is not installed what Node says. */
const WITHOUT_PACKAGE = `--import=data:text/javascript,${encodeURIComponent(
  'import{registerHooks}from"node:module";registerHooks({resolve(s,c,n){if(s==="pkcs11js")throw Object.assign(new Error("gone"),{code:"ERR_MODULE_NOT_FOUND"});return n(s,c)}})',
)}`;

const missing = missingHsm();
const missingFaulty = missingFaultyHsm();

/** One token for the whole file: making it takes longer than most tests with it. */
const shared = missing === false ? softHsm(t, KEYS) : undefined;
const sharedFaulty = missingFaulty === false ? shared?.then((hsm) => faultyHsm(t, hsm)) : undefined;

async function token(): Promise<SoftHsm> {
  if (shared === undefined) throw new Error('there is no token');
  return shared;
}

async function faultyToken(): Promise<FaultyHsm> {
  if (sharedFaulty === undefined) throw new Error('there is no module that fails');
  const hsm = await sharedFaulty;
  hsm.heal();
  return hsm;
}

t.test('keys in an HSM', { skip: missing }, async (t) => {
  for (const { kind, label } of KEYS) {
    conformance(t, `pkcs11 ${kind}`, async (t) => subject(t, await token(), kind, label));
  }
});

t.test('an HSM that fails', { skip: missingFaulty }, async (t) => {
  remoteConformance(t, 'pkcs11', async (t) => {
    const hsm = await faultyToken();
    return {
      ...(await subject(t, hsm, 'Ed25519', KEY)),
      fail: hsm.setFault,
      heal: hsm.heal,
      faults: FAULTS,
      passing: PASSING,
    };
  });
});

async function subject(t: Test, hsm: SoftHsm, kind: TokenAlgorithm, label: string) {
  const signer = await opened(t, { ...hsm, key: label });
  const { key } = signer.key;
  return {
    open: (deadlineMs?: number) => opened(t, { ...hsm, key: label, deadlineMs }),
    verify(data: Uint8Array, signature: Uint8Array) {
      const hash = kind === 'Ed25519' ? null : 'sha256';
      const padding = kind === 'RSA-PSS-SHA256' ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 } : {};
      return verify(hash, data, { key, ...padding }, signature);
    },
    secrets: [hsm.pin],
  };
}

async function opened(t: Test, options: Omit<Pkcs11SignerOptions, 'signerId'>): Promise<RemoteSigner> {
  const signer = await openPkcs11Signer({ signerId: 'hsm-1', ...options });
  t.teardown(() => signer.close());
  return signer;
}

/** Processes of the driver that this process has. */
function driverProcesses(): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => {
      if (!Number.isInteger(pid)) return false;
      try {
        const isOurs = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[1] === String(process.pid);
        return isOurs && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('token-process');
      } catch {
        return false; // ended while we looked
      }
    });
}

t.test('exactly one key, fit for signing, by its label or id', { skip: missing }, async (t) => {
  const hsm = await softHsm(t, [
    { kind: 'Ed25519', label: 'audit', id: '0a01' },
    { kind: 'Ed25519', label: 'twice', id: '0b01' },
    { kind: 'Ed25519', label: 'twice', id: '0b02' },
    { kind: 'Ed25519', label: 'plain', id: '0c01', extractable: true },
    { kind: 'ECDSA-P256-SHA256', label: 'idle', id: '0d01', signs: false },
    { kind: 'P-384', label: 'other-curve', id: '0e01' },
  ]);
  const open = (change: Partial<Pkcs11SignerOptions>) =>
    openPkcs11Signer({ signerId: 'hsm-1', ...hsm, key: KEY, ...change });
  for (const key of ['audit', 'id:0a01', 'id:0B02']) (await open({ key })).close();

  const unfit: [Partial<Pkcs11SignerOptions>, RegExp][] = [
    [{ key: 'twice' }, /private key twice: the token has 2/],
    [{ key: 'plain' }, /can be read out/],
    [{ key: 'idle' }, /is not for signing/],
    [{ key: 'other-curve' }, /not an Ed25519, P-256 or RSA key/],
    [{ algorithm: 'RSA-PSS-SHA256' }, /is a key for Ed25519, not RSA-PSS-SHA256/],
    [{ module: '/nowhere/libhsm.so' }, /\/nowhere\/libhsm.so is no PKCS#11 module/],
    [{ module: import.meta.filename }, /is no PKCS#11 module/],
    [{ pin: 'not-the-pin' }, /CKR_PIN_INCORRECT/],
  ];
  for (const [change, says] of unfit) {
    const error = await open(change).catch((error: unknown) => error);
    t.ok(error instanceof KeyError, `${Object.values(change)}`);
    t.match(String(error), says);
  }
  const absent: [Partial<Pkcs11SignerOptions>, RegExp][] = [
    [{ tokenLabel: 'another' }, /no token has the label another/],
    [{ key: 'nobody' }, /private key nobody: the token has none/],
    [{ key: 'id:ff' }, /the token has none/],
  ];
  for (const [change, says] of absent) {
    const error = await open(change).catch((error: unknown) => error);
    t.ok(error instanceof SignerError, `${Object.values(change)}`);
    t.match(String(error), says);
  }
  await until('no process is left', () => driverProcesses().length === 0);
});

t.test('without the package it says what to install', async (t) => {
  const before = process.env['NODE_OPTIONS'];
  process.env['NODE_OPTIONS'] = WITHOUT_PACKAGE;
  t.teardown(() => {
    if (before === undefined) delete process.env['NODE_OPTIONS'];
    else process.env['NODE_OPTIONS'] = before;
  });
  const options = { signerId: 'hsm-1', module: '/usr/lib/any.so', tokenLabel: 'any', pin: '1234', key: 'any' };
  const error = await openPkcs11Signer(options).catch((error: unknown) => error);
  t.ok(error instanceof KeyError);
  t.match(String(error), /ERR_MODULE_NOT_FOUND.*npm install --no-save pkcs11js@/);
});

t.test('a token that is taken away and brought back', { skip: missing }, async (t) => {
  const hsm = await token();
  const { signer, probe } = await opened(t, { ...hsm, key: KEY });
  await t.resolves(probe());
  hsm.takeAway();
  await t.rejects(signer.sign(DATA), { code: 'SIGNER_UNAVAILABLE' });
  await t.rejects(probe(), { code: 'SIGNER_UNAVAILABLE' });
  hsm.bringBack();
  await until('signs again', () =>
    signer.sign(DATA).then(
      () => true,
      () => false,
    ),
  );
  await t.resolves(probe());
});

t.test('the key behind a label is replaced: no signature', { skip: missing }, async (t) => {
  const { signer } = await opened(t, { ...(await token()), key: KEY });
  await signer.sign(DATA);
  await softHsm(t, KEYS.slice(0, 1));
  for (const pid of driverProcesses()) process.kill(pid, 'SIGKILL');
  await until('the new process has seen it', () =>
    signer.sign(DATA).then(
      () => false,
      (error: unknown) => /another key than it was at the start/.test(String(error)),
    ),
  );
});

t.test('a refused PIN is never tried again', { skip: missingFaulty }, async (t) => {
  const hsm = await faultyToken();
  const before = hsm.logins();
  hsm.setFault('pin-refused');
  await t.rejects(openPkcs11Signer({ signerId: 'hsm-1', ...hsm, key: KEY }), KeyError);
  t.equal(hsm.logins() - before, 1, 'not at the start');
  hsm.heal();

  const { signer } = await opened(t, { ...hsm, key: KEY });
  t.equal(hsm.logins() - before, 2);
  hsm.setFault('pin-refused');
  for (const pid of driverProcesses()) process.kill(pid, 'SIGKILL');
  await until('the login was refused', () =>
    signer.sign(DATA).then(
      () => false,
      (error: unknown) => /CKR_PIN_INCORRECT/.test(String(error)),
    ),
  );
  hsm.heal();
  await t.rejects(signer.sign(DATA), /CKR_PIN_INCORRECT/, 'and not later');
  t.equal(hsm.logins() - before, 3);

  hsm.setFault('final-try');
  const error = await openPkcs11Signer({ signerId: 'hsm-1', ...hsm, key: KEY }).catch((error: unknown) => error);
  t.match(String(error), /one more wrong PIN would lock/);
  t.equal(hsm.logins() - before, 3, 'nor is the last try used up');
});

t.test('close ends the process, also one that hangs; nobody sees the PIN', { skip: missingFaulty }, async (t) => {
  const hsm = await faultyToken();
  for (const fault of [undefined, 'silence']) {
    const signer = await openPkcs11Signer({ signerId: 'hsm-1', ...hsm, key: KEY });
    const [pid] = driverProcesses();
    t.notMatch(readFileSync(`/proc/${pid}/cmdline`, 'utf8'), hsm.pin);
    t.notMatch(readFileSync(`/proc/${pid}/environ`, 'utf8'), hsm.pin);
    if (fault !== undefined) hsm.setFault(fault);
    const pending = fault === undefined ? Promise.reject(new SignerError('none')) : signer.signer.sign(DATA);
    pending.catch(() => undefined);
    signer.close();
    await t.rejects(pending, SignerError);
    await until('ended', () => driverProcesses().length === 0, 5000);
  }
});

t.test('the token itself verifies', { skip: missing }, async (t) => {
  for (const { kind, label } of KEYS) {
    const at = { ...(await token()), key: label };
    const { signer } = await opened(t, at);
    const signature = await signer.sign(DATA);
    t.match(await verifyWithToken(at, DATA, signature), { valid: true, key: { algorithm: kind } });
    t.match(await verifyWithToken(at, Buffer.from('something else'), signature), { valid: false });
    t.match(await verifyWithToken(at, DATA, signature.subarray(1)), { valid: false });
  }
});
