// What checkpoints cost the one who appends, by CPU time of this process and of PostgreSQL: events are appended for a while
// and rounds made as often as the service makes them; the tree that each append keeps is weighed by itself. In a database
// of its own, so that no other service makes rounds over the chain. Started with: seconds, concurrency, pid of PostgreSQL.
import pg from 'pg';

import { createAuditAppender } from '../src/audit/append.ts';
import { createCheckpoints } from '../src/checkpoints/service.ts';
import { systemClock } from '../src/clock.ts';
import { verificationKey } from '../src/crypto/verify.ts';
import { newId } from '../src/ids.ts';
import { createLocalSigner, generateEd25519 } from '../src/signers/drivers/local/ed25519.ts';
import { createSigners } from '../src/signers/signers.ts';
import type { KeyedSigner } from '../src/signers/verified-signer.ts';
import { migrate } from '../src/storage/migrator.ts';
import { createStorage } from '../src/storage/storage.ts';
import { emptyRange, encodeRange, extendRange } from '../src/transparency/compact-range.ts';
import { leafHash } from '../src/transparency/merkle.ts';
import { cpuBetween, readCpu } from './support/cpu.ts';
import { timeCalls } from './support/load.ts';

const DATABASE = 'bench_checkpoints';
/** ms between rounds: the service's default. */
const INTERVAL_MS = 10_000;
const WARM_UPS = 4;
const WARM_UP_SECONDS = 2;
const TURNS = 2;
/** Events of one transaction here, and bytes of a body. */
const BATCH = 64;
const BODY_BYTES = 450;

const [seconds, concurrency, postmaster] = process.argv.slice(2).map(Number);
if (seconds === undefined || concurrency === undefined || postmaster === undefined) throw new Error('usage');

await makeDatabase();
const nothing = () => undefined;
const storage = createStorage({
  appUrl: within('DATABASE_URL'),
  systemUrl: within('CASTELLAN_DATABASE_SYSTEM_URL'),
  poolSize: 16,
  logger: { warn: (fields, message) => console.error(message, fields) },
});
const signers = createSigners({
  storage,
  clock: systemClock,
  auditDriver: newKey('audit'),
  proofDriver: newKey('proof'),
  checkpointDriver: newKey('checkpoint'),
});
const observe = { batch: nothing, signed: nothing, signerFailed: nothing, queueDepth: nothing };
const appender = createAuditAppender({
  storage,
  signer: signers.audit,
  mode: 'event',
  clock: systemClock,
  transactions: 4,
  observe,
});
const checkpoints = createCheckpoints({
  storage,
  clock: systemClock,
  signers,
  origin: 'castellan.bench/log',
  sinks: { file: undefined, s3: undefined, webhook: undefined, witnesses: [] },
  observe: {
    delivered: nothing,
    failed: nothing,
    signed: nothing,
    refused: nothing,
    damaged: nothing,
    signerFailed: nothing,
  },
  random: Math.random,
  wait: async () => undefined,
});
try {
  await signers.ensureRegistered(appender);
  console.log(JSON.stringify(await measured()));
} finally {
  await appender.close();
  await checkpoints?.close();
  await storage.close();
}

async function measured() {
  const total = { events: 0, append: 0, rounds: 0 };
  // The first rounds are no figure yet: plans, code and pages are cold, as they are once in the life of a service.
  for (let turn = 0; turn < WARM_UPS; turn += 1) {
    await appendFor(WARM_UP_SECONDS);
    await checkpoints?.round();
  }
  for (let turn = 0; turn < TURNS; turn += 1) {
    const appended = await spent(() => appendFor(Math.max(seconds ?? 0, INTERVAL_MS / 1000)));
    const round = await spent(async () => checkpoints?.round());
    total.events += appended.value;
    total.append += appended.cpu;
    total.rounds += round.cpu;
  }
  const tree = treeCost(total.events);
  const perEvent = (cpu: number) => (cpu / total.events) * 1e6;
  return {
    events: total.events,
    appendMicros: perEvent(total.append),
    treeMicros: perEvent(tree),
    roundMicros: perEvent(total.rounds),
    // The appends hold the cost of their tree already.
    share: (tree + total.rounds) / (total.append - tree),
  };
}

async function appendFor(duration: number): Promise<number> {
  return (await timeCalls(concurrency ?? 1, duration, append)).requests;
}

async function append(): Promise<void> {
  const payload = { agentId: newId(), expiresAt: '2026-01-01T00:00:00.000Z', wasRunning: true };
  const actor = { id: 'bench', kind: 'service' } as const;
  await appender.commit({
    chain: '_system',
    work: async (scope) => void scope.append({ type: 'agent.expired', actor, payload, traceId: '0'.repeat(32) }),
  });
}

/** CPU seconds of what an append does for the tree, for so many events in transactions of the usual size. */
function treeCost(events: number): number {
  const body = Buffer.alloc(BODY_BYTES, 'x');
  const work = (count: number) => {
    let range = emptyRange();
    for (let done = 0; done < count; done += BATCH) {
      range = extendRange(
        range,
        Array.from({ length: BATCH }, () => leafHash(body)),
      );
      encodeRange(range);
    }
  };
  work(Math.min(events, 10_000));
  const before = process.cpuUsage();
  work(events);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

/** CPU seconds of this process and of PostgreSQL. */
async function spent<T>(work: () => Promise<T>): Promise<{ value: T; cpu: number }> {
  const before = readCpu(process.pid, postmaster ?? 0);
  const value = await work();
  const { client, postgres } = cpuBetween(before, readCpu(process.pid, postmaster ?? 0));
  return { value, cpu: client + postgres };
}

function newKey(purpose: string): KeyedSigner {
  const { privateKeyPem, publicKeyPem } = generateEd25519();
  const signer = createLocalSigner({ signerId: `bench-${purpose}`, privateKeyPem });
  return { signer, key: verificationKey('Ed25519', publicKeyPem), inProcess: true };
}

async function makeDatabase(): Promise<void> {
  const client = new pg.Client({ connectionString: process.env['BENCH_DATABASE_URL'] });
  await client.connect();
  await client.query(`DROP DATABASE IF EXISTS ${DATABASE}`);
  await client.query(`CREATE DATABASE ${DATABASE}`);
  await client.end();
  await migrate(within('BENCH_DATABASE_URL'));
}

function within(name: string): string {
  const url = new URL(process.env[name] ?? '');
  url.pathname = `/${DATABASE}`;
  return url.href;
}
