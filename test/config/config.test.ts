import t from 'tap';
import { SETTINGS } from '../../src/config/settings.ts';
import { ConfigError, loadDevConfig, loadServiceConfig } from '../../src/config.ts';
import fc from '../support/fast-check.ts';
import cases from './unsafe-production.json' with { type: 'json' };

type Env = Record<string, string>;

/** Enough for `serve` outside production. */
const DEVELOPMENT: Env = {
  NODE_ENV: 'development',
  DATABASE_URL: 'postgres://app@127.0.0.1:1/castellan',
  CASTELLAN_DATABASE_SYSTEM_URL: 'postgres://system@127.0.0.1:1/castellan',
  CASTELLAN_API_TLS_CERT_FILE: 'server.crt',
  CASTELLAN_API_TLS_KEY_FILE: 'server.key',
  CASTELLAN_API_TLS_CLIENT_CA_FILE: 'ca.crt',
  CASTELLAN_IDENTITY_MAP_FILE: 'map.json',
  CASTELLAN_AUDIT_SIGNING_KEY_FILE: 'audit.pem',
  CASTELLAN_PROOF_SIGNING_KEY_FILE: 'proof.pem',
};

function problems(load: () => unknown): readonly string[] {
  try {
    load();
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

const serve = (env: Env, execArgv: string[] = []) => problems(() => loadServiceConfig(env, execArgv));

t.test('what production refuses', async (t) => {
  for (const { why, env, says } of cases) {
    const given: Record<string, string | undefined> = env;
    const { NODE_ENV: _, ...rest } = DEVELOPMENT;
    const base: Env = 'DATABASE_URL_FILE' in env && !('DATABASE_URL' in env) ? without(rest, 'DATABASE_URL') : rest;
    const all = problems(() => loadServiceConfig({ ...base, ...given }, []));
    t.ok(
      all.some((problem) => problem.includes(says)),
      `${why}: ${all.join('; ')}`,
    );
  }
  t.ok(serve(DEVELOPMENT, ['--inspect-brk']).length === 0, 'a debugger is for development');
  const { NODE_ENV: _, ...unset } = DEVELOPMENT;
  t.ok(serve(unset, ['--inspect-brk=0.0.0.0:9229']).includes('the inspector is on (--inspect)'));
});

t.test('production with every key in a KMS or behind a proxy is taken', async (t) => {
  const {
    NODE_ENV: _,
    CASTELLAN_AUDIT_SIGNING_KEY_FILE: _a,
    CASTELLAN_PROOF_SIGNING_KEY_FILE: _p,
    ...rest
  } = DEVELOPMENT;
  const arn = (n: number) => `arn:aws:kms:eu-central-1:111122223333:key/00000000-0000-4000-8000-00000000000${n}`;
  const env = {
    ...rest,
    AUDIT_SIGNING_KEY_SOURCE: 'kms',
    AUDIT_SIGNING_KMS_KEY_ID: arn(1),
    CASTELLAN_PROOF_SIGNING_KEY_SOURCE: 'proxy',
    CASTELLAN_CHECKPOINT_SIGNING_KEY_SOURCE: 'kms',
    CASTELLAN_CHECKPOINT_SIGNING_KMS_KEY_ID: arn(2),
    SIGNING_PROXY_URL: 'https://signer.example/team',
    CASTELLAN_SIGNING_PROXY_API_KEY: 'only-for-tests',
  };
  t.strictSame(serve(env), []);
  const { signers, checkpoints, environment } = loadServiceConfig(env, []);
  t.equal(environment, 'production');
  t.match(signers, {
    audit: { source: 'kms', signerId: 'castellan-audit-1', keyArn: arn(1) },
    proof: { source: 'proxy', signerId: 'castellan-proof-1' },
    services: { proxy: { url: 'https://signer.example/team', apiKey: 'only-for-tests' }, perSecond: 1000 },
  });
  t.match(checkpoints, { signer: { source: 'kms', keyArn: arn(2) } });
  t.match(
    problems(() => loadDevConfig({ AUDIT_SIGNING_KEY_SOURCE: 'kms' })),
    [/castellan dev` signs with keys of its own/],
  );
});

t.test('each audit event is signed by itself, unless the setting says batch', async (t) => {
  const mode = (env: Env) => loadServiceConfig({ ...DEVELOPMENT, ...env }, []).auditSigningMode;
  t.equal(mode({}), 'event');
  t.equal(mode({ CASTELLAN_AUDIT_SIGNING_MODE: 'batch' }), 'batch');
  t.equal(loadDevConfig({ CASTELLAN_AUDIT_SIGNING_MODE: 'batch' }).service.auditSigningMode, 'batch');
  t.match(serve({ ...DEVELOPMENT, CASTELLAN_AUDIT_SIGNING_MODE: 'Batch' }), [/must be one of event, batch/]);
});

t.test('all problems at once', async (t) => {
  const all = serve({ DEV_SKIP_MTLS: 'yes', REQUIRE_KMS: 'no', CASTELLAN_X: '1', CASTELLAN_API_PORT: '-1' });
  for (const name of ['DEV_SKIP_MTLS', 'REQUIRE_KMS', 'CASTELLAN_X', 'CASTELLAN_API_PORT', 'DATABASE_URL']) {
    t.ok(
      all.some((problem) => problem.startsWith(name)),
      name,
    );
  }
  t.equal(new Set(all).size, all.length, 'each once');
});

t.test('development', async (t) => {
  t.same(serve(DEVELOPMENT), []);
  const config = loadServiceConfig(DEVELOPMENT, []);
  t.equal(config.identity.skipMtls, false);
  t.equal(config.api.minVersion, 'TLSv1.3');
  t.ok(Object.isFrozen(config));
  t.equal(serve({ ...DEVELOPMENT, REQUIRE_KMS: 'true' }).length, 3, 'REQUIRE_KMS=true holds everywhere');
  t.match(serve({ ...DEVELOPMENT, DEV_SKIP_MTLS: 'true', CASTELLAN_API_HOST: '0.0.0.0' }), [/loopback/]);
  t.same(serve({ ...DEVELOPMENT, DEV_SKIP_MTLS: 'true', CASTELLAN_API_HOST: '::1' }), []);
  t.match(serve({ ...DEVELOPMENT, CASTELLAN_PROOF_SIGNING_ALG: 'HMAC-SHA256' }), [/HMAC_SECRET is required/]);
  t.match(
    serve({ ...DEVELOPMENT, CASTELLAN_PROOF_SIGNING_ALG: 'HMAC-SHA256', CASTELLAN_PROOF_SIGNING_HMAC_SECRET: '' }),
    [/HMAC_SECRET is set but empty/],
  );
});

t.test('dev is not for production', async (t) => {
  t.same(
    problems(() => loadDevConfig({})),
    [],
  );
  t.same(
    problems(() => loadDevConfig({ NODE_ENV: 'test' })),
    [],
  );
  for (const name of ['production', 'staging', '']) {
    t.match(problems(() => loadDevConfig({ NODE_ENV: name }))[0], /NODE_ENV: `castellan dev`/, name);
  }
  t.match(
    problems(() => loadDevConfig({ REQUIRE_KMS: 'true' })),
    [/must be kms/, /must be kms/, /must be kms/],
  );
});

t.test('a variable that is not in the table is refused, whatever it is called', async () => {
  const names = fc.stringMatching(/^CASTELLAN_[A-Z_]{1,30}$/).filter((name) => !known(name));
  fc.assert(
    fc.property(names, (name) =>
      serve({ ...DEVELOPMENT, [name]: '1' }).includes(`${name} is not a setting of Castellan`),
    ),
  );
});

t.test('no value of DEV_SKIP_MTLS but a plain no gets into production', async () => {
  const no = new Set(['false', '0', 'no', 'off']);
  const { NODE_ENV: _, ...production } = DEVELOPMENT;
  fc.assert(
    fc.property(fc.string(), (value) => {
      const refused = serve({ ...production, DEV_SKIP_MTLS: value }).some((problem) =>
        problem.startsWith('DEV_SKIP_MTLS'),
      );
      return refused !== no.has(value.trim().toLowerCase());
    }),
  );
});

function known(name: string): boolean {
  return Object.hasOwn(SETTINGS, name) || Object.hasOwn(SETTINGS, name.replace(/_FILE$/, ''));
}

function without(env: Env, name: string): Env {
  return Object.fromEntries(Object.entries(env).filter(([key]) => key !== name));
}

t.test('hosts of the own network are names: an address there would have no effect', async (t) => {
  const of = (hosts: string) => serve({ ...DEVELOPMENT, CASTELLAN_EGRESS_INTERNAL_HOSTS: hosts });
  t.same(of('registry.internal:5000, 10.example:80'), []);
  for (const address of ['10.0.0.7:80', 'registry.internal:5000,127.1:80', '0x7f000001:80', '2130706433:80'])
    t.match(of(address), [/CASTELLAN_EGRESS_INTERNAL_HOSTS must name hosts/], address);
});
