import { encodeCursor } from '../../src/http/pagination.ts';
import { type Agents, settleTables, workspaceWithAgents } from '../support/agents.ts';
import { type ExplainedStatement, startExplainer } from '../support/explain.ts';
import { type Figure, figure } from '../support/figure.ts';
import { HttpConnection, requestBytes, type Target } from '../support/http-connection.ts';
import type { Bench, Phase } from '../support/phase.ts';
import { median, ratios } from '../support/statistics.ts';

const SIZES = { '1k': 1000, '100k': 100_000, '1m': 1_000_000 } as const;
type Size = keyof typeof SIZES;
const NAMES: readonly Size[] = ['1k', '100k', '1m'];
const LIMIT = 50;
/** Pages in different depths, the same ones in every round. */
const DEPTHS = 200;
/** Pages whose buffers are counted. */
const EXPLAINED = 40;
const LIST = /from "?agents"?/i;

export const page: Phase = {
  name: 'page',
  what: 'pages of statuses at 1 k, 100 k and 1 M agents',
  run: measurePages,
};

async function measurePages(bench: Bench): Promise<Figure[]> {
  const { world } = bench;
  const agents = new Map<Size, Agents>();
  for (const size of NAMES) {
    bench.say(`a workspace with ${SIZES[size]} agents`);
    agents.set(size, await workspaceWithAgents(world, `page-${size}`, SIZES[size]));
  }
  await settleTables(world.db);
  const paths = (size: Size) => pathsOf(agents.get(size));

  const rounds: Map<string, number>[] = [];
  // The round before the first warms up.
  for (let round = 0; round <= bench.options.rounds; round += 1) {
    const medians = await latencies(bench, paths);
    if (round > 0) rounds.push(medians);
    bench.say(`  round ${round}: ${[...medians].map(([name, ms]) => `${name} ${ms.toFixed(2)} ms`).join(' · ')}`);
  }
  const half = (name: string) => rounds.map((medians) => medians.get(name) ?? Number.NaN);

  const buffers = await countBuffers(bench, paths);
  const many = buffers('1m') / buffers('1k');
  return [
    figure(
      'page.first.ratio',
      'first page at 1 M against 1 k, median latency',
      'x',
      ratios(half('first-1m'), half('first-1k')),
    ),
    figure(
      'page.deep.ratio',
      'deep pages at 1 M against 1 k, median latency',
      'x',
      ratios(half('deep-1m'), half('deep-1k')),
    ),
    figure('page.buffers.ratio', 'buffers of a page at 1 M against 1 k', 'x', [many]),
    ...NAMES.flatMap((size) => [
      figure(`page.buffers.${size}`, `buffers of a page at ${size}, mean of ${EXPLAINED}`, 'buffers', [buffers(size)]),
      figure(`page.first.${size}`, `first page at ${size}, median latency`, 'ms', half(`first-${size}`)),
      figure(`page.deep.${size}`, `deep pages at ${size}, median latency`, 'ms', half(`deep-${size}`)),
    ]),
  ];
}

/** Sizes and depths in turn, request by request: a busy moment of the machine hits all of them alike. */
async function latencies(bench: Bench, paths: (size: Size) => Paths): Promise<Map<string, number>> {
  const { target } = bench.world.service;
  const connection = new HttpConnection(target);
  const kinds = NAMES.flatMap((size) => {
    const { first, deep } = paths(size);
    const bytes = (path: string) => requestBytes(target, 'GET', path);
    return [
      { name: `first-${size}`, requests: [bytes(first)], taken: [] as number[] },
      { name: `deep-${size}`, requests: deep.map(bytes), taken: [] as number[] },
    ];
  });
  try {
    await connection.open();
    const until = performance.now() + bench.options.seconds * 1000;
    for (let turn = 0; performance.now() < until; turn += 1) {
      for (const { name, requests, taken } of kinds) {
        const started = performance.now();
        const answer = await connection.send(requests[turn % requests.length] ?? Buffer.alloc(0));
        taken.push(performance.now() - started);
        if (answer.status !== 200) throw new Error(`${name}: ${answer.status} ${answer.body.toString('utf8')}`);
      }
    }
  } finally {
    connection.close();
  }
  return new Map(kinds.map(({ name, taken }) => [name, median(taken)]));
}

interface Paths {
  readonly first: string;
  readonly deep: readonly string[];
}

/** Paths of the first page and of pages all over the list, by the cursors that the pages before them end with. */
function pathsOf(agents: Agents | undefined): Paths {
  if (agents === undefined) throw new Error('no such workspace');
  const { workspaceId, count } = agents;
  const first = `/v1/workspaces/${workspaceId}/agents/statuses?limit=${LIMIT}`;
  const scope = { route: 'statuses', workspaceId, sort: 'id', filters: { status: undefined } };
  // Never the last page, which has no next one.
  const pages = count / LIMIT - 2;
  const deep = Array.from({ length: DEPTHS }, (_, index) => {
    const before = 1 + ((index * 7919 * 31) % pages);
    return `${first}&cursor=${encodeCursor(scope, [agents.id(before * LIMIT - 1)])}`;
  });
  return { first, deep };
}

async function countBuffers(bench: Bench, paths: (size: Size) => Paths): Promise<(size: Size) => number> {
  const explainer = await startExplainer(bench.world);
  const { target } = explainer.service;
  const connection = new HttpConnection(target);
  const counts = new Map<Size, number>();
  try {
    for (const size of NAMES) {
      const all: number[] = [];
      for (const path of paths(size).deep.slice(0, EXPLAINED)) {
        // The first time may clean up behind the insert; what counts is a page as it is from then on.
        await ask(connection, target, path);
        all.push(buffersOf(await explainer.during(() => ask(connection, target, path))));
      }
      // The mean: a page begins anywhere in a block, so that equal pages touch one block more or less.
      counts.set(size, all.reduce((sum, count) => sum + count, 0) / all.length);
    }
  } finally {
    connection.close();
    await explainer.stop();
  }
  return (size) => counts.get(size) ?? Number.NaN;
}

async function ask(connection: HttpConnection, target: Target, path: string): Promise<void> {
  const answer = await connection.send(requestBytes(target, 'GET', path));
  if (answer.status !== 200) throw new Error(`${path}: ${answer.status}`);
}

/** All that a page costs, not only its list: the total is part of the answer. */
function buffersOf(statements: readonly ExplainedStatement[]): number {
  if (!statements.some(({ text }) => LIST.test(text))) {
    throw new Error(`no statement of a list: ${statements.map(({ text }) => text).join('; ')}`);
  }
  return statements.reduce((sum, { buffers }) => sum + buffers, 0);
}
