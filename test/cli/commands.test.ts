import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

import { SETTINGS } from '../../src/config/settings.ts';
import { testDatabase } from '../support/database.ts';
import { testService } from '../support/service.ts';
import { cli } from './run.ts';

/** Any word is a path to these. */
const takesPaths = (name: string) => name.startsWith('policy') || name === 'signers import' || name === 'secrets scan';

const COMMANDS = [
  'serve',
  'dev',
  'migrate',
  'audit verify',
  'audit verify-last',
  'audit export',
  'audit stream',
  'audit checkpoint',
  'audit prune',
  'policy check',
  'policy test',
  'policy bundle',
  'signers list',
  'signers export',
  'signers import',
  'signers rotate',
  'signers activate',
  'signers retire',
  'signers revoke',
  'signers compromise',
  'signers reattest',
  'certs dev',
  'secrets scan',
  'config',
  'openapi',
];
const POLICIES = fileURLToPath(new URL('../../policies/', import.meta.url));
/** Nothing listens there. */
const AWAY = 'postgres://castellan:hunter2@127.0.0.1:1/castellan';

t.test('--help on each, and on a group', async (t) => {
  for (const name of COMMANDS) {
    for (const flag of ['--help', '-h']) {
      const { code, out, err } = await cli([...name.split(' '), flag]);
      t.same([code, err], [0, ''], name);
      t.match(out, `castellan ${name}`, `${name} names itself`);
    }
  }
  const all = await cli(['--help']);
  t.equal(all.code, 0);
  for (const name of COMMANDS) t.match(all.out, `  ${name} `);
  const group = await cli(['audit', '--help']);
  t.equal(group.code, 0);
  t.match(group.out, 'audit verify');
  t.notMatch(group.out, 'migrate');
});

t.test('usage errors are 64, on stderr, with the usage', async (t) => {
  for (const argv of [[], ['nonsense'], ['audit'], ['audit', 'nonsense'], ['serve-all']]) {
    const { code, out, err } = await cli(argv);
    t.same([code, out], [64, ''], argv.join(' '));
    t.match(err, 'Usage: castellan');
  }
  for (const name of COMMANDS) {
    for (const extra of ['--nonsense', ...(takesPaths(name) ? [] : ['stray'])]) {
      const { code, out, err } = await cli([...name.split(' '), extra]);
      t.same([code, out], [64, ''], `${name} ${extra}`);
      t.match(err, 'Usage: castellan');
    }
  }
  t.equal((await cli(['config', '--for', 'nothing'])).code, 64);
  t.equal((await cli(['policy', 'check'])).code, 64, 'no folder');
  t.equal((await cli(['signers', 'list'])).code, 64, 'no database');
  t.equal((await cli(['signers', 'list', '--database-url', 'no url'])).code, 64);
});

t.test('what cannot be read is 3, and says nothing secret', async (t) => {
  const runs = [
    await cli(['signers', 'list', '--database-url', AWAY]),
    await cli(['audit', 'verify', '--database-url', AWAY]),
    await cli(['audit', 'verify-last', '--database-url', AWAY]),
    await cli(['audit', 'export', '--database-url', AWAY]),
    await cli(['audit', 'stream', '--format', 'ocsf', '--to', 'stdout', '--once', '--database-url', AWAY]),
    await cli(['migrate'], { CASTELLAN_DATABASE_OWNER_URL: AWAY }),
    await cli(['policy', 'check', '/nowhere/at/all']),
    await cli(['openapi', '--write', '/nowhere/at/all.yaml']),
  ];
  for (const { code, out, err } of runs) {
    t.same([code, out], [3, ''], err);
    t.notMatch(err, 'hunter2');
    t.notMatch(err, /^ +at /m, 'no stack');
  }
  t.equal((await cli(['migrate'])).code, 78, 'a setting that is missing');
});

t.test('config shows what is in force and no secret', async (t) => {
  const env = {
    NODE_ENV: 'development',
    DATABASE_URL: 'postgres://app:hunter2@127.0.0.1/x',
    CASTELLAN_PROOF_SIGNING_HMAC_SECRET: 'hunter2',
    CASTELLAN_DATABASE_OWNER_URL_FILE: '/run/secrets/hunter2',
    CASTELLAN_API_PORT: '9000',
  };
  const shown = await cli(['config', '--for', 'dev', '--json'], env);
  const settings = JSON.parse(shown.out);
  t.same(Object.keys(settings), Object.keys(SETTINGS));
  t.match(settings, {
    CASTELLAN_API_PORT: '9000',
    CASTELLAN_OPS_PORT: '9464',
    DATABASE_URL: '********',
    REQUIRE_KMS: null,
  });
  const text = await cli(['config', '--for', 'dev'], env);
  t.match(text.out, 'CASTELLAN_API_PORT=9000\n');
  t.match(text.out, 'REQUIRE_KMS=(unset)\n');
  for (const { out, err } of [shown, text]) t.notMatch(out + err, 'hunter2');

  t.same(await cli(['config', '--check', '--for', 'dev'], {}), { code: 0, out: '', err: '' });
  const bad = await cli(['config', '--check', '--json'], { DEV_SKIP_MTLS: 'yes' });
  t.equal(bad.code, 78);
  const verdict = JSON.parse(bad.out);
  t.equal(verdict.ok, false);
  t.ok(verdict.problems.includes('DEV_SKIP_MTLS is not allowed in production'));
  t.match(bad.err, 'DEV_SKIP_MTLS is not allowed in production\n');
});

t.test('migrate, from nothing and again', async (t) => {
  const database = await testDatabase(t, { empty: true });
  const env = { CASTELLAN_DATABASE_OWNER_URL: database.ownerUrl };
  const first = await cli(['migrate', '--json'], env);
  t.equal(first.code, 0, first.err);
  t.ok(JSON.parse(first.out).applied.length > 0);
  t.same(JSON.parse((await cli(['migrate', '--json'], env)).out), { applied: [] });
  t.match(await cli(['migrate'], env), { code: 0, out: 'The schema is current.\n' });
});

t.test('an export is verified with what `signers list --json` prints', async (t) => {
  const { database, call } = await testService(t);
  await call('operator', 'POST', '/v1/workspaces/demo/agents', { spec: { name: 'exported' } });
  const dir = await mkdtemp(join(tmpdir(), 'castellan-test-cli-'));
  t.teardown(() => rm(dir, { recursive: true }));
  const [log, signers] = [join(dir, 'log.jsonl'), join(dir, 'signers.json')];
  const url = ['--database-url', database.superuserUrl];

  const listed = await cli(['signers', 'list', '--json', ...url]);
  t.equal(listed.code, 0, listed.err);
  const entries = JSON.parse(listed.out).signers;
  t.match(entries.map((entry: { signerId: string }) => entry.signerId).sort(), ['audit-1', 'proof-1']);
  t.match(await cli(['signers', 'list', ...url]), { code: 0, out: /^audit-1 {2}Ed25519 {2}audit {2}active$/m });
  await writeFile(signers, listed.out);
  t.equal((await cli(['audit', 'export', '--out', log, ...url])).code, 0);

  const good = await cli(['audit', 'verify', '--json', '--export', log, '--signers', signers]);
  t.equal(good.code, 0, good.err + good.out);
  const report = JSON.parse(good.out);
  t.same(Object.keys(report).sort(), ['events', 'findings', 'ok', 'signatures', 'strength']);
  t.ok(report.events > 0);

  await writeFile(
    signers,
    JSON.stringify({ signers: entries.filter((e: { purpose: string }) => e.purpose !== 'audit') }),
  );
  t.not(
    (await cli(['audit', 'verify', '--export', log, '--signers', signers])).code,
    0,
    'without the key it is nothing',
  );
});

t.test('policy check, test and bundle on the shipped policy', async (t) => {
  const checked = await cli(['policy', 'check', POLICIES, '--json'], { PATH: '' });
  t.equal(checked.code, 0, checked.err);
  t.match(JSON.parse(checked.out), { ok: true, policySet: 'default', hash: /^sha256:[0-9a-f]{64}$/ });
  const tested = await cli(['policy', 'test', POLICIES, '--json'], { PATH: '' });
  t.equal(tested.code, 0, tested.err + tested.out);
  t.equal(JSON.parse(tested.out).ok, true);
  const bundle = await cli(['policy', 'bundle', POLICIES]);
  t.match(JSON.parse(bundle.out), {
    policySet: 'default',
    bundle: { modules: { 'promotion.rego': String }, data: {} },
  });

  const dir = await mkdtemp(join(tmpdir(), 'castellan-test-policy-'));
  t.teardown(() => rm(dir, { recursive: true }));
  await writeFile(join(dir, 'promotion.rego'), 'package castellan.promotion\n\ndeny contains {\n');
  const broken = await cli(['policy', 'check', dir], { PATH: '' });
  t.equal(broken.code, 1);
  t.match(broken.err, /^promotion\.rego:\d+/, 'file and row');
});

t.test('certs dev', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'castellan-test-certs-'));
  t.teardown(() => rm(dir, { recursive: true }));
  const made = await cli(['certs', 'dev'], { CASTELLAN_CERTS_DIR: join(dir, 'certs') });
  t.match(made, { code: 0, out: `Certificates are in ${join(dir, 'certs')}.\n` });
});
