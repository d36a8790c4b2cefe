import fastifyPlugin from 'fastify-plugin';

import type { Clock } from '../clock.ts';
import type { Failpoints } from '../failpoints.ts';
import type { Storage } from '../storage/storage.ts';
import { type AuditAppender, createAuditAppender } from './append.ts';
import type { SigningModeName } from './signing-mode.ts';

declare module 'fastify' {
  interface FastifyInstance {
    audit: AuditAppender;
  }
}

export interface AuditPluginOptions {
  readonly clock: Clock;
  /** Chains written at once; below the pool's size, so that reads always find a connection. */
  readonly transactions: number;
  readonly signingMode: SigningModeName;
  /** For tests of faults only. */
  readonly failpoints?: Failpoints | undefined;
}

/** The one way to change state: `app.audit.commit`. Closes after the units it accepted. */
export const auditPlugin = fastifyPlugin(
  async (app, options: AuditPluginOptions) => {
    const { audit: metrics } = app.metrics;
    const appender = createAuditAppender({
      storage: app.storage,
      signer: app.signers.audit,
      clock: options.clock,
      transactions: options.transactions,
      mode: options.signingMode,
      observe: metrics,
      failpoints: options.failpoints,
    });
    app.decorate('audit', appender);
    app.addHook('onClose', () => appender.close());
  },
  { name: 'audit', fastify: '5.x', dependencies: ['storage', 'metrics', 'signers'] },
);

/** Chains with events that are not signed yet (audit.md: the brakes work without the signer). */
export async function uncoveredChains(storage: Storage): Promise<string[]> {
  const rows = await storage.system((trx) =>
    trx.selectFrom('audit_heads').select('chain').where('deferred_from', 'is not', null).limit(1000).execute(),
  );
  return rows.map((row) => row.chain);
}

/** Has each uncovered chain signed over as soon as the signer is back; one that cannot be does not hold up the others. */
export async function coverDeferredEvents(storage: Storage, audit: AuditAppender): Promise<void> {
  const chains = await uncoveredChains(storage);
  const outcomes = await Promise.allSettled(
    chains.map((chain) => audit.commit({ chain, work: async () => undefined })),
  );
  const failed = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}
