import { join } from 'node:path';

import type { SignerConfig } from '../../src/config/signing.ts';
import type { AppendProgram } from '../support/append-program.ts';
import { makeBaselineTables } from '../support/baseline-tables.ts';
import { type Figure, figure } from '../support/figure.ts';
import { type BenchKms, startKms } from '../support/kms.ts';
import type { Bench, Phase } from '../support/phase.ts';
import { countedRun, type Run, ratesOf } from '../support/program.ts';
import { inTurn } from '../support/rounds.ts';
import { ratios } from '../support/statistics.ts';

const CONCURRENCY = 64;
/** Callers at a KMS: as many as wait while its quota is used up, and some more. */
const KMS_CONCURRENCY = 256;
/** Rows of a multi-row INSERT: as many as units share a transaction. */
const ROWS = 64;
const KMS_SIGNER = 'bench-kms';

export const append: Phase = {
  name: 'append',
  what: 'signed events on one chain, by each kind of signing, against plain INSERTs, without HTTP',
  run: measureAppend,
};

type Section = 'insert' | 'insertMany' | 'append' | 'batch' | 'kms' | 'kmsBatch';

async function measureAppend(bench: Bench): Promise<Figure[]> {
  await makeBaselineTables(bench.world.db);
  const kms = await startKms(bench);
  await registerKey(bench, kms);
  const chain = await newChain(bench, 'append');
  const { seconds } = bench.options;
  const insert = (rows: number) => (concurrency: number) =>
    countedRun(bench, 'audit-append', [argument({ what: 'insert', rows, seconds, concurrency })]);
  const local = (mode: 'event' | 'batch') => (concurrency: number) =>
    appendEvents(bench, { what: 'append', chain, mode, perUnit: 1, signer: localSigner(bench), seconds, concurrency });
  const remote = (mode: 'event' | 'batch') => () =>
    appendEvents(
      bench,
      {
        what: 'append',
        chain,
        mode,
        perUnit: 1,
        signer: { source: 'kms', signerId: KMS_SIGNER, keyArn: kms.auditKey },
        kmsEndpoint: kms.url,
        seconds,
        concurrency: KMS_CONCURRENCY,
      },
      kms,
    );
  const results = await inTurn<Section, Run>(bench, CONCURRENCY, {
    insert: insert(1),
    insertMany: insert(ROWS),
    append: local('event'),
    batch: local('batch'),
    kms: remote('event'),
    kmsBatch: remote('batch'),
  });
  await kms.child.stop();
  const rate = (section: Section) => ratesOf(results[section]);
  const against = (section: Section, baseline: Section) => ratios(rate(section), rate(baseline));
  return [
    figure('append.perSecond', 'events appended to one chain, local key', '/s', rate('append')),
    figure('append.batch.perSecond', 'the same, one signature for a transaction', '/s', rate('batch')),
    figure('append.kms.perSecond', 'the same, key in a KMS of 15 ms and 1,000/s', '/s', rate('kms')),
    figure('append.kms.batch.perSecond', 'the same, one signature for a transaction', '/s', rate('kmsBatch')),
    figure('append.baseline', 'plain committed INSERTs of one row', '/s', rate('insert')),
    figure('append.many', `rows of plain committed INSERTs of ${ROWS} rows`, '/s', rate('insertMany')),
    figure('append.ratio', 'events against INSERTs of one row', 'x', against('append', 'insert')),
    figure('append.many.ratio', 'events against rows of multi-row INSERTs', 'x', against('append', 'insertMany')),
    figure('append.batch.ratio', 'batch-signed events against those', 'x', against('batch', 'insertMany')),
    figure('append.cpu', 'CPU of the appender per event, local key', 'µs', results.append.map(cpuEach)),
    figure('append.kms.cpu', 'CPU of the appender per event, KMS', 'µs', results.kms.map(cpuEach)),
  ];
}

/** What `castellan signers rotate` would do with more ceremony. */
async function registerKey({ world }: Bench, kms: BenchKms): Promise<void> {
  await world.db.query(
    `INSERT INTO signers (signer_id, alg, public_key, purpose, state, created_at, created_by, updated_at)
     VALUES ($1, 'Ed25519', $2, 'audit', 'active', now(), 'bench', now())`,
    [KMS_SIGNER, kms.auditPublicKey],
  );
}

/** The key that the service of the bench signs with. */
export function localSigner({ world }: Bench): SignerConfig {
  return {
    source: 'local',
    signerId: 'castellan-audit-1',
    algorithm: 'Ed25519',
    keyFile: join(world.home, 'data', 'keys', 'audit.pem'),
    hmacSecret: undefined,
  };
}

export async function newChain({ world }: Bench, workspaceId: string): Promise<string> {
  await world.call('POST', '/v1/workspaces', { workspaceId }, 201);
  return workspaceId;
}

export function appendEvents(bench: Bench, program: AppendProgram, kms?: BenchKms): Promise<Run> {
  return countedRun(bench, 'audit-append', [argument(program)], kms?.env);
}

function argument(program: AppendProgram): string {
  return JSON.stringify(program);
}

function cpuEach({ cpu, count }: Run): number {
  return (cpu / count) * 1e6;
}
