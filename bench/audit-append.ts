// Appends signed events to one chain through the service's own appender, and inserts plain rows; without HTTP. Started by
// the bench with: what (insert, append, fill), seconds, concurrency, key file, chain.
import pg from 'pg';

import { createAuditAppender } from '../src/audit/append.ts';
import { systemClock } from '../src/clock.ts';
import { NO_KEY_SERVICES } from '../src/config/signing.ts';
import { newId } from '../src/ids.ts';
import { openSigners } from '../src/signers/open.ts';
import { createStorage } from '../src/storage/storage.ts';
import { timeCalls } from './support/load.ts';

/** As the service's default. */
const POOL_SIZE = 16;
/** Bytes; those of the baseline over HTTP. */
const ROW_BYTES = 700;

const [what, seconds, concurrency, keyFile, chain = ''] = process.argv.slice(2);
/** Events of one unit where only their number matters. */
const FILLING = 64;
const perUnit = what === 'fill' ? FILLING : 1;

const before = process.cpuUsage();
const result = what === 'insert' ? await inserts() : await appends();
const { user, system } = process.cpuUsage(before);
console.log(JSON.stringify({ ...result, cpu: (user + system) / 1e6 }));

async function inserts() {
  const pool = new pg.Pool({ connectionString: process.env['BENCH_DATABASE_URL'], max: POOL_SIZE });
  const row = JSON.stringify({ filling: 'y'.repeat(ROW_BYTES) });
  const insert = async () => {
    await pool.query({
      name: 'insert',
      text: 'INSERT INTO bench.events (id, at, payload) VALUES ($1, now(), $2)',
      values: [newId(), row],
    });
  };
  try {
    return await timeCalls(Number(concurrency), Number(seconds), insert);
  } finally {
    await pool.end();
  }
}

async function appends() {
  const key = {
    source: 'local',
    signerId: 'castellan-audit-1',
    algorithm: 'Ed25519',
    keyFile,
    hmacSecret: undefined,
  } as const;
  const { audit: keyed } = await openSigners({ audit: key, proof: key, services: NO_KEY_SERVICES });
  const storage = createStorage({
    appUrl: process.env['DATABASE_URL'] ?? '',
    systemUrl: process.env['CASTELLAN_DATABASE_SYSTEM_URL'] ?? '',
    poolSize: POOL_SIZE,
    logger: { warn: (fields, message) => console.error(message, fields) },
  });
  const nothing = () => undefined;
  const observe = { batch: nothing, signed: nothing, signerFailed: nothing, queueDepth: nothing };
  const appender = createAuditAppender({ storage, signer: keyed.signer, clock: systemClock, transactions: 4, observe });
  const actor = { id: 'bench', kind: 'service' } as const;
  const append = async () => {
    const payload = { agentId: newId(), reason: 'an event of the usual size, with a few words that say why' };
    await appender.commit({
      chain,
      work: async (scope) => {
        for (let n = 0; n < perUnit; n += 1) {
          scope.append({ type: 'agent.stopped', actor, payload, traceId: '0'.repeat(32) });
        }
      },
    });
  };
  try {
    const timing = await timeCalls(Number(concurrency), Number(seconds), append);
    return { ...timing, requests: timing.requests * perUnit };
  } finally {
    await appender.close();
    await storage.close();
  }
}
