import type { FastifyInstance } from 'fastify';

import { AuditError } from './audit/errors.ts';
import { uncoveredChains } from './audit/plugin.ts';
import type { Clock } from './clock.ts';
import { ConfigError } from './config.ts';
import type { CheckNote, OpsOptions } from './ops.ts';
import { databaseTime, type Storage } from './storage/storage.ts';
import { TrustExpired } from './trust/errors.ts';
import type { Ending } from './trust/watched.ts';

/** ms a replica's clock may differ from the database's, which all replicas share. */
const MAX_SKEW_MS = 5000;

/** What must hold for a replica to be asked: by name, each rejects with what is wrong. */
export function readinessChecks(
  app: FastifyInstance,
  clock: Clock,
  isolation: (() => Promise<CheckNote | undefined>) | undefined,
): OpsOptions['checks'] {
  const checks = {
    database: () => app.storage.ping(),
    migrations: () => requireSchema(app.storage),
    policy: () => app.policy.ready(),
    signers: () => app.signers.probe(),
    clock: () => requireAgreedTime(app, clock),
    certificates: async () => requireInForce(app.trust.endings(), clock()),
    checkpoints: async () => app.checkpoints?.ready(),
    audit: async () => {
      const uncovered = await uncoveredChains(app.storage);
      if (uncovered.length > 0) throw new AuditError('CHAIN_UNCOVERED', 'events wait to be signed over');
    },
  };
  const silent = Object.entries(checks).map(([name, check]) => [name, () => check().then(() => undefined)] as const);
  return { ...Object.fromEntries(silent), ...(isolation === undefined ? {} : { isolation }) };
}

async function requireAgreedTime(app: FastifyInstance, clock: Clock): Promise<void> {
  const theirs = await databaseTime(app.storage);
  if (!(Math.abs(theirs - clock()) <= MAX_SKEW_MS))
    throw new AuditError('CLOCK_SKEW', "the clock differs from the database's");
}

function requireInForce(endings: readonly Ending[], now: number): void {
  const ended = endings.find(({ notAfter }) => notAfter < now);
  if (ended !== undefined) throw new TrustExpired(ended.certificate);
}

/** ConfigError unless the database has exactly this release's schema. */
export async function requireSchema(storage: Storage): Promise<void> {
  const state = await storage.migrationsCurrent();
  if (state === 'current') return;
  throw new ConfigError([
    'newer' in state
      ? `the database schema is newer than this release (${state.newer.join(', ')})`
      : `the database schema is behind this release; run \`castellan migrate\` (${state.pending.join(', ')})`,
  ]);
}
