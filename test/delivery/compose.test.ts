import { existsSync, readFileSync, statSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { parse } from 'yaml';

import { createLocalSigner } from '../../src/signers/drivers/local/ed25519.ts';
import { readKeyFile } from '../../src/signers/drivers/local/key-file.ts';
import { testHome } from '../support/process.ts';
import { composeProblems } from './support/compose-rules.ts';
import { ROOT, run } from './support/container.ts';

const text = readFileSync(join(ROOT, 'docker-compose.yml'), 'utf8');

t.test('the compose file keeps the rules', async (t) => {
  t.same(composeProblems(text), []);
});

/** What is changed → what must be said about it. */
const MISTAKES: readonly (readonly [why: string, from: string | RegExp, to: string, says: RegExp])[] = [
  ['latest', 'postgres:18.4-bookworm}', 'postgres:latest}', /postgres: image .* not an exact version/],
  ['a moving tag', 'postgres:18.4-bookworm}', 'postgres:18}', /postgres: image .* not an exact version/],
  ['no version', 'image: castellan:0.1.0', 'image: castellan', /castellan: image castellan: not an exact version/],
  ['root', 'user: "999:999"', 'user: "0:0"', /postgres: user/],
  ['no user', 'user: "999:999"', '', /postgres: user/],
  ['writable', 'read_only: true', 'read_only: false', /castellan: read_only/],
  ['a misspelt key', 'read_only: true', 'readonly: true', /readonly: not a key we know/],
  ['privileged', 'shm_size: 256m', 'privileged: true', /postgres: privileged: not a key we know/],
  ['capabilities', 'cap_drop: [ALL]', 'cap_drop: [NET_RAW]', /castellan: cap_drop/],
  ['a capability back', 'shm_size: 256m', 'cap_add: [SYS_ADMIN]', /postgres: cap_add: not a key we know/],
  ['new privileges', '"no-new-privileges:true"', '', /castellan: no-new-privileges/],
  ['no limits', 'memory: 768M, ', '', /castellan: limits/],
  ['logs without end', 'max-size: 10m, ', '', /castellan: logs/],
  ['no restart', 'restart: unless-stopped', 'restart: always', /postgres: restart/],
  ['no health check', 'test: [CMD, node, /app/healthcheck.mjs]', 'disable: true', /castellan: health check/],
  ['a health check in a shell', '[CMD, node, /app', '[CMD-SHELL, node, /app', /castellan: health check/],
  ['the socket of Docker', './certs:/var/lib/castellan/certs:ro', '/var/run/docker.sock:/x', /castellan: a mount/],
  ['the host above', './certs:/var/lib/castellan/certs:ro', '../:/x', /castellan: a mount/],
  ['published to all', '127.0.0.1:9464:9464', '9464:9464', /castellan: a port published/],
  ['a secret by value', 'DATABASE_URL_FILE: /run/secrets/app-url', 'DATABASE_URL: postgres://a:b@c/d', /by value/],
  ['a password by value', 'POSTGRES_PASSWORD_FILE: /run/s', 'POSTGRES_PASSWORD: s', /POSTGRES_PASSWORD: a secret/],
  ['a secret not granted', 'secrets: [app-url, ', 'secrets: [', /app-url: not granted/],
  ['a misspelt setting', 'CASTELLAN_OPS_HOST', 'CASTELLAN_OPS_HOTS', /CASTELLAN_OPS_HOTS: not a setting/],
  ['an unknown secret', '[app-url, ', '[app-url, other, ', /secret other: not defined/],
  ['an unknown network', 'networks: [database, front]', 'networks: [database, back]', /network back: not defined/],
  ['an unknown volume', 'database:/var/lib/postgresql', 'data:/var/lib/postgresql', /volume data: not defined/],
  ['an unknown config', 'source: logins', 'source: login', /config login: not defined/],
  ['an unknown dependency', 'migrate: { cond', 'migrated: { cond', /service migrated: not defined/],
  [
    'not waiting for the end',
    'migrate: { condition: service_completed_successfully',
    'migrate: { condition: service_started',
    /migrate: wait for/,
  ],
  [
    'not waiting for health',
    'postgres: { condition: service_healthy',
    'postgres: { condition: service_started',
    /postgres: wait for/,
  ],
  ['a database that gets out', 'internal: true', 'internal: false', /a way out/],
  ['a published database', 'shm_size: 256m', 'ports: ["127.0.0.1:5432:5432"]', /the database is published/],
  [
    'production rules with local keys',
    /NODE_ENV: development\n( +)DATABASE/,
    'NODE_ENV: production\n$1DATABASE',
    /NODE_ENV/,
  ],
  ['killed while it drains', 'stop_grace_period: 35s', 'stop_grace_period: 10s', /shorter than the drain/],
  ['killed by default', 'stop_grace_period: 35s', '', /stop_grace_period/],
  ["the owner's login everywhere", '[app-url, ', '[app-url, owner-url, ', /owner's login/],
  [
    'a key where none is needed',
    'secrets: [owner-url]',
    'secrets: [owner-url, audit-key.pem]',
    /a signing key outside/,
  ],
  ['a key of the checkout', 'file: deploy/compose/secrets/audit-key.pem', 'file: certs/audit.pem', /setup.sh/],
];

t.test('and each of these mistakes is found', async (t) => {
  for (const [why, from, to, says] of MISTAKES) {
    const spoilt = text.replace(from, to);
    t.not(spoilt, text, `${why}: the mistake is in`);
    t.match(composeProblems(spoilt).join('\n'), says, why);
  }
});

t.test('setup.sh makes what the file mounts, and keeps what is there', async (t) => {
  const { home } = await testHome(t);
  const setup = () => run(join(ROOT, 'deploy/compose/setup.sh'), [home]);
  await setup();
  const secrets = join(home, 'deploy/compose/secrets');
  const file: { secrets: Record<string, { file: string }>; configs: Record<string, { file: string }> } = parse(text);
  t.same((await readdir(secrets)).sort(), Object.keys(file.secrets).sort());
  for (const config of Object.values(file.configs)) t.ok(existsSync(join(ROOT, config.file)), config.file);
  t.equal(statSync(secrets).mode & 0o777, 0o700, 'nobody else gets at them on this machine');
  for (const name of ['audit-key.pem', 'proof-key.pem', 'owner-url', 'app-url', 'system-url']) {
    t.equal(statSync(join(secrets, name)).mode & 0o777, 0o400, name);
  }
  t.match(await readFile(join(home, '.env'), 'utf8'), /^RUN_AS=[1-9]\d*:[1-9]\d*\n$/);
  const owner = Number(/=(\d+)/.exec(await readFile(join(home, '.env'), 'utf8'))?.[1]);
  t.equal(statSync(join(secrets, 'audit-key.pem')).uid, owner, 'of the user that the service runs as');
  if (owner === process.getuid?.()) {
    const privateKeyPem = (await readKeyFile(join(secrets, 'audit-key.pem'))).toString();
    t.equal(createLocalSigner({ signerId: 'audit', privateKeyPem }).algorithm, 'Ed25519');
  }

  const before = await contents(secrets);
  t.equal(new Set(Object.values(before)).size, Object.keys(before).length, 'no two are alike');
  await writeFile(join(home, '.env'), 'OTHER=1\nRUN_AS=1000:1000\n');
  await setup();
  t.same(await contents(secrets), before);
  t.equal(await readFile(join(home, '.env'), 'utf8'), 'OTHER=1\nRUN_AS=1000:1000\n');
});

async function contents(dir: string): Promise<Record<string, string>> {
  const names = await readdir(dir);
  return Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await readFile(join(dir, name), 'utf8')])),
  );
}
