import { pino } from 'pino';

import packageJson from '../package.json' with { type: 'json' };
import { buildApp } from './app.ts';
import { systemClock } from './clock.ts';
import { defaultLimits, defaultRuntime } from './config.ts';
import { verificationKey } from './crypto/verify.ts';
import { renderOpenApiYaml } from './http/openapi.ts';
import { Unauthenticated } from './identity/errors.ts';
import { createKnownLocks } from './locks/known.ts';
import { createMetrics } from './metrics/metrics.ts';
import { openPolicyParts } from './policy/parts.ts';
import { createLocalSigner, generateEd25519 } from './signers/drivers/local/ed25519.ts';
import type { KeyedSigner } from './signers/verified-signer.ts';
import { createStorage } from './storage/storage.ts';
import { createWatcher } from './trust/watcher.ts';

/** No database is behind it: the description is read from the routes, and no request is ever made. */
const NOWHERE = 'postgres://nobody@127.0.0.1:1/none';

/** openapi.yaml as the routes of this release make it; needs neither database nor network. */
export async function describeApi(): Promise<string> {
  const logger = pino({ level: 'silent' });
  const policy = await openPolicyParts({ opaBin: undefined, searchPath: undefined });
  const storage = createStorage({ appUrl: NOWHERE, systemUrl: NOWHERE, poolSize: 4, logger });
  const app = await buildApp({
    version: packageJson.version,
    logger,
    clock: systemClock,
    random: Math.random,
    tls: { key: '', cert: '', clientCa: '', minVersion: 'TLSv1.3', requireCertificate: true },
    authenticate: () => {
      throw new Unauthenticated('NO_IDENTITY');
    },
    storage,
    trust: { watcher: createWatcher([]), started: [], standing: () => undefined },
    knownLocks: createKnownLocks({ storage, clock: systemClock }),
    databaseUrl: NOWHERE,
    auditTransactions: 1,
    auditSigningMode: 'event',
    limits: defaultLimits(),
    runtime: defaultRuntime(),
    isolation: undefined,
    metrics: createMetrics({ clock: systemClock, collectProcess: false }),
    auditSigner: throwAwaySigner('audit'),
    proofSigner: throwAwaySigner('proof'),
    breakGlassMaxMinutes: 60,
    proofTtlMs: 1,
    manifests: { audience: 'castellan' },
    policy,
  });
  try {
    return renderOpenApiYaml(app);
  } finally {
    await app.close();
  }
}

function throwAwaySigner(signerId: string): KeyedSigner {
  const { privateKeyPem, publicKeyPem } = generateEd25519();
  return { signer: createLocalSigner({ signerId, privateKeyPem }), key: verificationKey('Ed25519', publicKeyPem) };
}
