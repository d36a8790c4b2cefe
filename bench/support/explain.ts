import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import type { Service, World } from './world.ts';

/** What the service's login is called in the bench's database. */
const LOGIN = 'castellan_app_login';
const SETTINGS: readonly (readonly [string, string])[] = [
  ['session_preload_libraries', 'auto_explain'],
  ['auto_explain.log_min_duration', '0'],
  ['auto_explain.log_analyze', 'on'],
  ['auto_explain.log_buffers', 'on'],
  ['auto_explain.log_format', 'json'],
];
/** ms without a new line after which a log is complete. */
const SETTLED_MS = 100;
const PLAN = /LOG: {2}duration: [\d.]+ ms {2}plan:\n((?:\t.*\n)+)/g;

export interface ExplainedStatement {
  readonly text: string;
  /** Buffers of its execution, in the cache or not. */
  readonly buffers: number;
}

/** A service whose every statement is explained as it runs: what is seen is the very statement, role and plan. */
export interface Explainer {
  readonly service: Service;
  /** The statements of `work`, which are those of the service alone, in the order they ended. */
  during(work: () => Promise<void>): Promise<ExplainedStatement[]>;
  stop(): Promise<void>;
}

export async function startExplainer(world: World): Promise<Explainer> {
  // The main service keeps its open connections, which know nothing of these settings.
  for (const [name, value] of SETTINGS) await world.db.query(`ALTER ROLE ${LOGIN} SET ${name} = '${value}'`);
  const service = await world.startService({ CASTELLAN_DATABASE_POOL_SIZE: '4' });
  const log = join(world.home, 'postgres', 'postgres.log');
  return {
    service,
    during: async (work) => {
      const before = (await readFile(log)).length;
      await work();
      // The server may tell of a statement after it has answered it.
      const text = await settledText(async () => (await readFile(log)).subarray(before).toString('utf8'));
      return [...text.matchAll(PLAN)].map(([, plan = '']) => explained(JSON.parse(plan)));
    },
    stop: async () => {
      await service.stop();
      await world.db.query(`ALTER ROLE ${LOGIN} RESET ALL`);
    },
  };
}

/** The text once it has not changed for a while. */
async function settledText(read: () => Promise<string>): Promise<string> {
  let last = await read();
  let since = performance.now();
  while (performance.now() - since < SETTLED_MS) {
    await delay(SETTLED_MS / 4);
    const now = await read();
    if (now === last) continue;
    last = now;
    since = performance.now();
  }
  return last;
}

function explained(plan: { 'Query Text': string; Plan: Record<string, unknown> }): ExplainedStatement {
  const { 'Shared Hit Blocks': hit, 'Shared Read Blocks': read } = plan.Plan;
  return { text: plan['Query Text'], buffers: Number(hit) + Number(read) };
}
