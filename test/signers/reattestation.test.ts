import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import t, { type Test } from 'tap';

import { generateEd25519 } from '../../src/signers/drivers/local/ed25519.ts';
import { verifyHere } from '../audit-verify/support/run.ts';
import { cli } from '../cli/run.ts';
import { type TestService, testService } from '../support/service.ts';
import { openWorld } from '../system/support/world.ts';

t.test(
  'a key is stolen: what it signed since is in doubt, until people have looked and a new key vouches',
  async (t) => {
    const world = await openWorld(t, { checkpoints: {} });
    const chainOf = async () => String(await world.workspace());
    const [used, spared] = [await chainOf(), await chainOf()];
    await world.sandboxAgent(used);
    await world.service.app.checkpoints?.round();
    world.pass(60_000);
    const trustedUpTo = new Date(world.now()).toISOString();
    world.pass(60_000);
    await world.sandboxAgent(used);
    await world.sandboxAgent(used);
    t.match(await found(world), { verdict: 'ok', classes: [] });

    const admin = adminOf(world, world.service.apiUrl);
    const stolen = await cli([
      'signers',
      'compromise',
      '--signer',
      'audit-1',
      '--reason',
      'x',
      '--trusted-up-to',
      trustedUpTo,
      ...admin,
    ]);
    t.equal(stolen.code, 0, stolen.err);
    t.match(await found(world), { verdict: 'tampered', classes: ['deferred-uncovered', 'signer-compromised'] });
    const reattest = (chain: string, at: readonly string[]) =>
      cli(['signers', 'reattest', '--signer', 'audit-1', '--chain', chain, '--reason', 'as in the backup', ...at]);
    t.match(
      await reattest(used, admin),
      { code: 1, err: /AUDIT_UNAVAILABLE|SIGNER_UNAVAILABLE/ },
      'a stolen key cannot vouch for itself',
    );

    const { publicKeyPem, config } = await newAuditKey(t);
    const publicKey = join(config.dir, 'public.pem');
    await writeFile(publicKey, publicKeyPem);
    const rotation = ['--signer', 'audit-2', '--replaces', 'audit-1', '--alg', 'Ed25519', '--public-key', publicKey];
    const rotated = await cli(['signers', 'rotate', ...rotation, '--emergency', '--reason', 'stolen', ...admin]);
    t.match(rotated, { code: 0, out: /^audit-2 .* pending\n$/ }, rotated.err);
    const replica = await testService(t, { replicaOf: world, clock: world.now, signers: { audit: config.signer } });
    const fresh = adminOf(world, replica.service.apiUrl);

    const { rows: events } = await world.database.query(
      'SELECT hash FROM audit_events WHERE chain = $1 AND seq IN (4, 5) ORDER BY seq',
      [used],
    );
    const [other = '', last = ''] = events.map(({ hash }) => hash);
    for (const compared of [
      ['--to', '4'],
      ['--to', '4', '--hash', other],
      ['--to', '6'],
      ['--to', '5', '--hash', other],
      ['--hash', other],
    ]) {
      const refused = await reattest(used, [...compared, ...fresh]);
      t.match(refused, { code: 1, err: /SIGNER_STATE_CONFLICT.*seq 5 with the hash [0-9a-f]{64}/ }, compared.join(' '));
    }
    for (const wrong of [
      ['--to', '0'],
      ['--to', '1e3'],
      ['--hash', 'ABC'],
    ]) {
      t.equal((await reattest(used, [...wrong, ...fresh])).code, 64, wrong.join(' '));
    }
    t.same((await found(world)).classes, ['signer-compromised'], 'nothing was vouched for');
    t.match(await reattest(used, ['--to', '5', '--hash', last, ...fresh]), {
      code: 0,
      out: `audit-1: its events from seq 4 to 5 of chain ${used} are vouched for\n`,
    });
    t.match(await reattest(used, fresh), { code: 1, err: /the events up to seq 5 are vouched for/ });
    t.match(await reattest(spared, fresh), { code: 1, err: /left no event in doubt/ });
    t.match(await reattest('nowhere', fresh), { code: 1, err: /NOT_FOUND/ });

    t.match(await reattest('_system', fresh), { code: 1, err: /left no event in doubt/ });
    t.same(await found(world), { verdict: 'ok', classes: ['reattested'] });
  },
);

function adminOf({ certsDir }: TestService, url: string): string[] {
  const pem = (name: string) => join(certsDir, name);
  return ['--url', url, '--ca', pem('ca.crt'), '--cert', pem('kernel-admin.crt'), '--key', pem('kernel-admin.key')];
}

async function found({ database }: TestService) {
  const { verdict, report } = await verifyHere(['--database-url', database.superuserUrl]);
  return { verdict, classes: [...new Set(report.findings.map((finding) => finding.class))].sort() };
}

async function newAuditKey(t: Test) {
  const dir = await mkdtemp(join(tmpdir(), 'castellan-test-audit-key-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  const { privateKeyPem, publicKeyPem } = generateEd25519();
  const keyFile = join(dir, 'audit-2.pem');
  await writeFile(keyFile, privateKeyPem, { mode: 0o600 });
  const signer = {
    source: 'local' as const,
    signerId: 'audit-2',
    algorithm: 'Ed25519' as const,
    keyFile,
    hmacSecret: undefined,
  };
  return { publicKeyPem, config: { dir, signer } };
}
