// Appends signed events to one chain through the service's own appender, and inserts plain rows; without HTTP. Started by
// the bench with one argument: an AppendProgram as JSON.
import pg from 'pg';

import { type AuditAppender, createAuditAppender } from '../src/audit/append.ts';
import { systemClock } from '../src/clock.ts';
import { NO_KEY_SERVICES, type SignerConfig } from '../src/config/signing.ts';
import { newId } from '../src/ids.ts';
import { openSigners } from '../src/signers/open.ts';
import { verifiedSigner } from '../src/signers/verified-signer.ts';
import { createStorage } from '../src/storage/storage.ts';
import type { AppendProgram } from './support/append-program.ts';
import { timeCalls } from './support/load.ts';

/** As the service's default. */
const POOL_SIZE = 16;
/** Bytes; those of the baseline over HTTP. */
const ROW_BYTES = 700;

const program: AppendProgram = JSON.parse(process.argv[2] ?? '');
const before = process.cpuUsage();
const result = await measured();
const { user, system } = process.cpuUsage(before);
console.log(JSON.stringify({ ...result, cpu: (user + system) / 1e6 }));

async function measured() {
  if (program.what === 'insert') return inserts(program.rows);
  return appends(program);
}

/** Committed INSERTs of so many rows each. */
async function inserts(rows: number) {
  const pool = new pg.Pool({ connectionString: process.env['BENCH_DATABASE_URL'], max: POOL_SIZE });
  const row = JSON.stringify({ filling: 'y'.repeat(ROW_BYTES) });
  const insert = async () => {
    const ids = Array.from({ length: rows }, () => newId());
    await pool.query({
      name: 'insert',
      text: 'INSERT INTO bench.events (id, at, payload) SELECT id, now(), $2 FROM unnest($1::uuid[]) AS id',
      values: [ids, row],
    });
  };
  try {
    const { requests, seconds } = await timeCalls(program.concurrency, program.seconds, insert);
    return { count: requests * rows, seconds };
  } finally {
    await pool.end();
  }
}

async function appends({ chain, mode, perUnit, signer, kmsEndpoint }: AppendProgram & { what: 'append' }) {
  const key: SignerConfig = signer;
  const services = { ...NO_KEY_SERVICES, kms: { endpoint: kmsEndpoint, caFile: undefined } };
  const { audit: keyed, proof } = await openSigners({ audit: key, proof: key, services });
  const storage = createStorage({
    appUrl: process.env['DATABASE_URL'] ?? '',
    systemUrl: process.env['CASTELLAN_DATABASE_SYSTEM_URL'] ?? '',
    poolSize: POOL_SIZE,
    logger: { warn: (fields, message) => console.error(message, fields) },
  });
  const nothing = () => undefined;
  const observe = { batch: nothing, signed: nothing, signerFailed: nothing, queueDepth: nothing };
  const appender = createAuditAppender({
    storage,
    // As in the service: the signature of a key that is elsewhere is verified before it counts.
    signer: verifiedSigner(keyed),
    mode,
    clock: systemClock,
    transactions: 4,
    observe,
  });
  try {
    const append = () => appendUnit(appender, chain, perUnit);
    const { requests, seconds } = await timeCalls(program.concurrency, program.seconds, append);
    return { count: requests * perUnit, seconds };
  } finally {
    await appender.close();
    await storage.close();
    keyed.close?.();
    proof.close?.();
  }
}

async function appendUnit(appender: AuditAppender, chain: string, events: number): Promise<void> {
  const actor = { id: 'bench', kind: 'service' } as const;
  await appender.commit({
    chain,
    work: async (scope) => {
      for (let n = 0; n < events; n += 1) {
        const payload = { agentId: newId(), expiresAt: '2026-01-01T00:00:00.000Z', wasRunning: true };
        scope.append({ type: 'agent.expired', actor, payload, traceId: '0'.repeat(32) });
      }
    },
  });
}
