import { createServer } from 'node:net';
import { dirname, join } from 'node:path';

import type { TestDatabase } from '../../support/database.ts';
import type { EndpointKey } from '../../support/kms-endpoint/keys.ts';
import type { KmsEndpoint } from '../../support/kms-endpoint/kms-endpoint.ts';
import type { Tap } from '../../support/postgres.ts';
import { castellan, type Env, type Running, until } from '../../support/process.ts';
import { caller, type TestService } from '../../support/service.ts';

/** Keys of one replica, by what they sign: an id and a key of the KMS. */
export interface ReplicaKeys {
  readonly audit: readonly [string, EndpointKey];
  readonly proof: readonly [string, EndpointKey];
  readonly checkpoint: readonly [string, EndpointKey];
}

export interface Replica {
  readonly running: Running;
  readonly call: TestService['call'];
  /** Status of /readyz. */
  readiness(): Promise<number>;
  /** SIGTERM, and its end. */
  stop(): Promise<void>;
}

/** Settings of a `serve` but for its keys. Production would refuse the test's server, which does not fsync; of keys this demands the same. */
export async function serveEnv(certsDir: string, database: TestDatabase): Promise<Env> {
  return {
    NODE_ENV: 'development',
    REQUIRE_KMS: 'true',
    DATABASE_URL: database.appUrl,
    CASTELLAN_DATABASE_SYSTEM_URL: database.systemUrl,
    CASTELLAN_API_PORT: String(await freePort()),
    CASTELLAN_OPS_PORT: String(await freePort()),
    CASTELLAN_RUNTIME_DRIVER: 'off',
    CASTELLAN_API_TLS_CERT_FILE: join(certsDir, 'server.crt'),
    CASTELLAN_API_TLS_KEY_FILE: join(certsDir, 'server.key'),
    CASTELLAN_API_TLS_CLIENT_CA_FILE: join(certsDir, 'ca.crt'),
    CASTELLAN_IDENTITY_MAP_FILE: join(certsDir, 'identity-map.json'),
    CASTELLAN_CHECKPOINT_ORIGIN: 'castellan.test/log',
  };
}

/** The same with all its keys in that KMS. */
export async function kmsServeEnv(
  certsDir: string,
  database: TestDatabase,
  kms: KmsEndpoint,
  keys: ReplicaKeys,
): Promise<Env> {
  const { credentials } = kms;
  return {
    ...(await serveEnv(certsDir, database)),
    CASTELLAN_LOG_LEVEL: 'warn',
    CASTELLAN_CHECKPOINT_INTERVAL_SECONDS: '1',
    CASTELLAN_KMS_ENDPOINT: kms.url,
    AUDIT_SIGNING_KEY_SOURCE: 'kms',
    AUDIT_SIGNER_KID: keys.audit[0],
    AUDIT_SIGNING_KMS_KEY_ID: keys.audit[1].arn,
    CASTELLAN_PROOF_SIGNING_KEY_SOURCE: 'kms',
    CASTELLAN_PROOF_SIGNER_KID: keys.proof[0],
    CASTELLAN_PROOF_SIGNING_KMS_KEY_ID: keys.proof[1].arn,
    CASTELLAN_CHECKPOINT_SIGNING_KEY_SOURCE: 'kms',
    CASTELLAN_CHECKPOINT_SIGNER_KID: keys.checkpoint[0],
    CASTELLAN_CHECKPOINT_SIGNING_KMS_KEY_ID: keys.checkpoint[1].arn,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    AWS_SESSION_TOKEN: credentials.sessionToken ?? '',
    AWS_CONFIG_FILE: '/dev/null',
    AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
    AWS_EC2_METADATA_DISABLED: 'true',
  };
}

/** A process of its own, ready. */
export async function startReplica(t: Tap, env: Env): Promise<Replica> {
  const running = castellan(t, ['serve'], env);
  const readiness = async () => {
    const answer = await fetch(`http://127.0.0.1:${env['CASTELLAN_OPS_PORT']}/readyz`).catch(() => undefined);
    return answer?.status ?? 0;
  };
  await until('ready', async () => running.child.exitCode !== null || (await readiness()) === 200, 60_000);
  if (running.child.exitCode !== null) throw new Error(`it ended: ${running.stderr()}`);
  return {
    running,
    call: caller(`https://127.0.0.1:${env['CASTELLAN_API_PORT']}`, dirname(env['CASTELLAN_API_TLS_CERT_FILE'] ?? '')),
    readiness,
    stop: async () => {
      running.child.kill('SIGTERM');
      await running.exited;
    },
  };
}

/** The public half of a key, as an operator gets it out of the KMS. */
export function publicKeyOf({ pair }: EndpointKey): string {
  if (pair === undefined) throw new Error('an HMAC key has no public half');
  return pair.publicKey.export({ type: 'spki', format: 'pem' }).toString();
}

async function freePort(): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  const probe = createServer().listen(0, '127.0.0.1', () => {
    const address = probe.address();
    probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
  });
  return promise;
}
