import { encodeCursor } from '../../src/http/pagination.ts';
import { type Agents, settleTables, workspaceWithAgents } from '../support/agents.ts';
import { type ExplainedStatement, startExplainer } from '../support/explain.ts';
import { type Figure, figure } from '../support/figure.ts';
import { HttpConnection, requestBytes, type Target } from '../support/http-connection.ts';
import type { LoadResult } from '../support/load.ts';
import { rates } from '../support/load-figures.ts';
import type { Bench, Phase } from '../support/phase.ts';
import { inTurn } from '../support/rounds.ts';
import { median, ratios } from '../support/statistics.ts';

const SIZES = { '1k': 1000, '100k': 100_000, '1m': 1_000_000 } as const;
type Size = keyof typeof SIZES;
const NAMES: readonly Size[] = ['1k', '100k', '1m'];
const LIMIT = 50;
/** Pages in different depths, the same ones in every round. */
const DEPTHS = 200;
/** Pages whose buffers are counted. */
const EXPLAINED = 20;
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

  const sections = Object.fromEntries(
    NAMES.flatMap((size) => [
      [`first-${size}`, () => load(bench, `first-${size}`, [paths(size).first])],
      [`deep-${size}`, () => load(bench, `deep-${size}`, paths(size).deep)],
    ]),
  );
  const results = await inTurn<string, LoadResult>(bench, 1, sections);
  const half = (name: string) => (results[name] ?? []).map((result) => result.p50);

  const buffers = await countBuffers(bench, paths);
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
    figure('page.first.buffers.ratio', 'buffers of the first page at 1 M against 1 k', 'x', [
      buffers.of('first', '1m') / buffers.of('first', '1k'),
    ]),
    figure('page.deep.buffers.ratio', 'buffers of a deep page at 1 M against 1 k', 'x', [
      buffers.of('deep', '1m') / buffers.of('deep', '1k'),
    ]),
    ...NAMES.flatMap((size) => [
      figure(`page.first.${size}.buffers`, `buffers of the first page at ${size}`, 'buffers', [
        buffers.of('first', size),
      ]),
      figure(`page.deep.${size}.buffers`, `buffers of a deep page at ${size}, median of ${EXPLAINED}`, 'buffers', [
        buffers.of('deep', size),
      ]),
      figure(`page.first.${size}.p50`, `first page at ${size}, half of them`, 'ms', half(`first-${size}`)),
      figure(`page.deep.${size}.p50`, `deep pages at ${size}, half of them`, 'ms', half(`deep-${size}`)),
      figure(
        `page.deep.${size}.perSecond`,
        `deep pages at ${size} over one connection`,
        '/s',
        rates(results[`deep-${size}`] ?? []),
      ),
    ]),
  ];
}

function load(bench: Bench, name: string, paths: readonly string[]): Promise<LoadResult> {
  const { service } = bench.world;
  const requests = paths.map((path) => requestBytes(service.target, 'GET', path));
  let asked = 0;
  return bench.load(`page-${name}`, service, {
    connections: 1,
    seconds: bench.options.seconds / 2,
    next: () => requests[asked++ % requests.length],
    mustSay: '"nextCursor":"',
  });
}

/** Paths of the first page and of pages all over the list, by the cursors that the pages before them end with. */
function pathsOf(agents: Agents | undefined): { first: string; deep: string[] } {
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

async function countBuffers(bench: Bench, paths: (size: Size) => { first: string; deep: string[] }) {
  const explainer = await startExplainer(bench.world);
  const connection = new HttpConnection(explainer.service.target);
  try {
    const counts = new Map<string, number>();
    for (const size of NAMES) {
      const { first, deep } = paths(size);
      const one = async (path: string) => {
        // The first time may clean up behind the insert; what counts is a page as it is from then on.
        await ask(connection, explainer.service.target, path);
        return buffersOf(await explainer.during(() => ask(connection, explainer.service.target, path)));
      };
      counts.set(`first-${size}`, await one(first));
      const all: number[] = [];
      for (const path of deep.slice(0, EXPLAINED)) all.push(await one(path));
      counts.set(`deep-${size}`, median(all));
    }
    return { of: (where: 'first' | 'deep', size: Size) => counts.get(`${where}-${size}`) ?? Number.NaN };
  } finally {
    connection.close();
    await explainer.stop();
  }
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
