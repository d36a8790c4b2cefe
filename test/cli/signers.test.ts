import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

import t from 'tap';
import { parseRegistry } from '../../src/audit/verify/registry.ts';
import { digestOf } from '../../src/audit/verify/registry-check.ts';
import { testSigner } from '../audit-verify/support/keys.ts';
import { testService } from '../support/service.ts';
import { cli } from './run.ts';

const { service, database, certsDir, call } = await testService(t);
const dir = t.testdir();
const pem = (name: string) => join(certsDir, name);
const by = (who: string) => [
  '--url',
  service.apiUrl,
  '--ca',
  pem('ca.crt'),
  '--cert',
  pem(`${who}.crt`),
  '--key',
  pem(`${who}.key`),
];
const admin = by('kernel-admin');
const url = ['--database-url', database.superuserUrl];

/** A file with a fresh public key. */
function keyFile(name: string): string {
  const path = join(dir, `${name}.pem`);
  writeFileSync(path, testSigner(name).publicKey ?? '');
  return path;
}

function signersFile(name: string, document: unknown): string {
  const path = join(dir, `${name}.json`);
  writeFileSync(path, typeof document === 'string' ? document : JSON.stringify(document));
  return path;
}

const manifest = (signerId: string) => {
  return { signerId, alg: 'Ed25519', purpose: 'manifest', publicKey: testSigner(signerId).publicKey };
};

t.test('import: all of them, or none; the same again is left as it is', async (t) => {
  const [one, two] = [manifest('m-one'), manifest('m-two')];
  const file = signersFile('both', { signers: [one, two] });
  t.match(await cli(['signers', 'import', file, ...admin]), {
    code: 0,
    out: 'imported: m-one, m-two; left as they are: none\n',
  });
  const again = await cli(['signers', 'import', file, ...admin, '--json']);
  t.same(JSON.parse(again.out), { imported: [], skipped: ['m-one', 'm-two'] });
  const other = signersFile('other', { signers: [manifest('m-three'), manifest('m-one')] });
  const refused = await cli(['signers', 'import', other, ...admin]);
  t.match(refused, { code: 1, out: '', err: /^castellan signers import: ALREADY_EXISTS: .*m-one/ });
  t.notMatch((await cli(['signers', 'list', ...url])).out, 'm-three');
});

t.test('rotate, activate, retire: a key takes the place of another', async (t) => {
  const argv = ['--signer', 'm-next', '--replaces', 'm-one', '--public-key', keyFile('m-next')];
  const rotated = await cli(['signers', 'rotate', ...argv, '--alg', 'Ed25519', '--reason', 'yearly', ...admin]);
  t.same(rotated, { code: 0, out: 'm-next  Ed25519  manifest  pending\n', err: '' });
  const activated = await cli(['signers', 'activate', '--signer', 'm-next', ...admin, '--json']);
  t.match(JSON.parse(activated.out), { signerId: 'm-next', state: 'active', replaces: 'm-one' });
  t.match(await cli(['signers', 'retire', '--signer', 'm-one', ...admin]), { code: 0, out: /m-one .* retired\n/ });
  t.match(await cli(['signers', 'retire', '--signer', 'm-one', ...admin]), {
    code: 1,
    err: /^castellan signers retire: SIGNER_STATE_CONFLICT: /,
  });
});

t.test('revoke and compromise; nobody else may, and an id is never part of another path', async (t) => {
  t.match(await cli(['signers', 'revoke', '--signer', 'm-next', '--reason', 'lost', ...admin]), {
    code: 0,
    out: / revoked\n/,
  });
  const until = '2026-01-01T00:00:00.000Z';
  const stolen = [
    'signers',
    'compromise',
    '--signer',
    'm-two',
    '--reason',
    'in a repository',
    '--trusted-up-to',
    until,
  ];
  t.match(await cli([...stolen, ...by('operator')]), { code: 1, err: /PERMISSION_DENIED/ });
  t.match(JSON.parse((await cli([...stolen, ...admin, '--json'])).out), { state: 'compromised', trustedUpTo: until });
  t.match(await cli(['signers', 'revoke', '--signer', '../signers/m-two', '--reason', 'x', ...admin]), {
    code: 1,
    err: /MALFORMED_REQUEST/,
  });
  t.match(await cli(['signers', 'reattest', '--signer', 'm-two', '--chain', 'demo', '--reason', 'x', ...admin]), {
    code: 1,
    err: /SIGNER_STATE_CONFLICT: the signer left no event in doubt/,
  });
  t.match(await cli(['signers', 'reattest', '--signer', 'audit-1', '--chain', '_system', '--reason', 'x', ...admin]), {
    code: 1,
    err: /SIGNER_STATE_CONFLICT: the signer is active, not compromised/,
  });
});

t.test('export: the file, and the signed event that vouches for it', async (t) => {
  const { code, out } = await cli(['signers', 'export', ...url]);
  t.equal(code, 0);
  const file = JSON.parse(out);
  t.equal(digestOf(parseRegistry(file.signers)), file.digest, 'as the verifier computes it');
  const { rows } = await database.query(
    `SELECT seq, hash, payload FROM audit_events WHERE chain = '_system' AND event_type LIKE 'signer.%' ORDER BY seq DESC LIMIT 1`,
  );
  t.match(file.event, { chain: '_system', seq: Number(rows[0]?.seq), hash: rows[0]?.hash });
  t.match(rows[0]?.payload, { registryDigest: file.digest, registryVersion: file.version });
  t.same((await call('auditor', 'GET', '/v1/signers')).body.signers, file.signers, 'and as the service lists them');
  await database.query(`UPDATE signers SET not_after = now() WHERE signer_id = 'm-one'`);
  t.match(await cli(['signers', 'export', ...url]), {
    code: 1,
    out: '',
    err: /not the one that the newest event about it names/,
  });
  await database.query(`UPDATE signers SET not_after = NULL WHERE signer_id = 'm-one'`);
  await database.query('UPDATE signer_registry SET version = version + 1');
  t.match(await cli(['signers', 'export', ...url]), { code: 1, out: '', err: /not the one that the newest event/ });
  await database.query('UPDATE signer_registry SET version = version - 1');
  t.equal((await cli(['signers', 'export', ...url])).code, 0);
});

t.test('what cannot be asked is 64, and says nothing secret', async (t) => {
  const retire = ['signers', 'retire', '--signer', 'm-one'];
  const env = { EXTERNAL_ORCHESTRATOR_API_KEY: 'hunter2' };
  const runs = [
    await cli([...retire]),
    await cli([...retire, '--url', service.apiUrl]),
    await cli([...retire, '--url', service.apiUrl, '--cert', pem('operator.crt')]),
    await cli([...retire, '--url', service.apiUrl.replace('https', 'http')], env),
    await cli([...retire, '--url', 'https://admin:hunter2@127.0.0.1/'], env),
    await cli([...retire, '--url', 'hunter2'], env),
    await cli([...retire, '--url', service.apiUrl], { EXTERNAL_ORCHESTRATOR_API_KEY: 'hunter2\nx' }),
    await cli([...retire, '--url', service.apiUrl], { ...env, EXTERNAL_ORCHESTRATOR_API_KEY_FILE: '/nowhere' }),
    await cli(['signers', 'retire', ...admin]),
    await cli(['signers', 'rotate', '--signer', 'x', ...admin]),
    await cli(['signers', 'reattest', '--signer', 'x', '--reason', 'x', '--chain', '../x', ...admin]),
    await cli(['signers', 'import', signersFile('no-json', 'hunter2'), ...admin]),
    await cli(['signers', 'import', signersFile('no-list', { keys: [] }), ...admin]),
  ];
  for (const { code, out, err } of runs) {
    t.same([code, out], [64, ''], err);
    t.match(err, 'Usage: castellan signers');
    t.notMatch(err, 'hunter2');
  }
});

t.test('no file, no connection, no trust, not the service: 3, and no stack', async (t) => {
  const stranger = createServer((_request, response) => response.end('hello')).listen(0, '127.0.0.1');
  t.teardown(() => stranger.close());
  await new Promise((resolve) => stranger.once('listening', resolve));
  const address = stranger.address();
  const port = typeof address === 'object' && address !== null ? (address satisfies AddressInfo).port : 0;
  const env = { EXTERNAL_ORCHESTRATOR_API_KEY: 'hunter2', EXTERNAL_ORCHESTRATOR_URL: service.apiUrl };
  const retire = ['signers', 'retire', '--signer', 'm-one'];
  const noPem = signersFile('no-pem', 'hunter2');
  const runs = [
    await cli([...retire, '--cert', '/nowhere', '--key', '/nowhere'], env),
    await cli(['signers', 'import', '/nowhere', ...admin]),
    await cli([
      'signers',
      'rotate',
      '--signer',
      'x',
      '--replaces',
      'y',
      '--alg',
      'Ed25519',
      '--reason',
      'lost',
      '--public-key',
      dir,
      ...admin,
    ]),
    await cli([...retire], env),
    await cli([...retire, '--ca', noPem, '--cert', noPem, '--key', noPem], env),
    await cli([...retire, '--url', `https://127.0.0.1:${port}`], env),
    await cli([...retire], {
      ...env,
      EXTERNAL_ORCHESTRATOR_API_KEY: undefined,
      EXTERNAL_ORCHESTRATOR_API_KEY_FILE: '/nowhere',
    }),
  ];
  for (const { code, out, err } of runs) {
    t.same([code, out], [3, ''], err);
    t.notMatch(err, /^ +at /m, 'no stack');
    t.notMatch(err, 'hunter2');
  }
  t.match(
    runs[3]?.err,
    /no answer from https:\/\/127.0.0.1:\d+ \(\w*SIGN\w*\)/,
    'the authority is not known without --ca',
  );
});
