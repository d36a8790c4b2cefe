import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { auditBench, type Bench } from '../../audit/support.ts';
import type { Tap } from '../../support/postgres.ts';

export interface StreamBench extends Bench {
  readonly dir: string;
  /** Appends events to a chain. */
  append(chain: string, count: number): Promise<void>;
  /** The place and hash of every event of a chain there is, in order. */
  stored(chain: string): Promise<Told[]>;
}

export interface Told {
  readonly chain: string;
  readonly seq: number;
  readonly hash: string;
}

export async function streamBench(t: Tap, chains: readonly string[]): Promise<StreamBench> {
  const dir = await mkdtemp(join(tmpdir(), 'castellan-test-stream-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  const bench = await auditBench(t, chains);
  const audit = bench.replica();
  return {
    ...bench,
    dir,
    append: async (chain, count) => {
      const one = () =>
        audit.commit({
          chain,
          work: async ({ append }) =>
            append({
              type: 'agent.stopped',
              actor: { id: 'tester', kind: 'human' },
              payload: { agentId: '01975a00-0000-7000-8000-00000000000a' },
            }).seq,
        });
      await Promise.all(Array.from({ length: count }, one));
    },
    stored: async (chain) => {
      const sql = 'SELECT chain, seq::int AS seq, hash FROM audit_events WHERE chain = $1 ORDER BY seq';
      const { rows } = await bench.database.query(sql, [chain]);
      return rows;
    },
  };
}

/** What CloudEvents in JSON, a list of them, say of their places in the log. */
export function told(events: readonly unknown[], chain: string): Told[] {
  return events.map(placeOf).filter((place) => place.chain === chain);
}

/** The events of a text of lines. */
export function lines(text: string): unknown[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line): unknown => JSON.parse(line));
}

export async function linesOfFile(path: string): Promise<unknown[]> {
  return lines(await readFile(path, 'utf8'));
}

function placeOf(event: unknown): Told {
  // biome-ignore lint/suspicious/noExplicitAny: checked right here
  const { chain, seq, hash } = (event as any).data ?? (event as any).unmapped;
  if (typeof chain !== 'string' || typeof seq !== 'number' || typeof hash !== 'string') {
    throw new Error(`an event without its place: ${JSON.stringify(event)}`);
  }
  return { chain, seq, hash };
}
