import { type Agents, settleTables, workspaceWithAgents } from '../support/agents.ts';
import { makeBaselineTables } from '../support/baseline-tables.ts';
import { type Figure, figure } from '../support/figure.ts';
import { requestBytes } from '../support/http-connection.ts';
import { cpuFigures, cpuRatio, latencyFigures, rates } from '../support/load-figures.ts';
import type { Bench, Phase } from '../support/phase.ts';
import { inTurn } from '../support/rounds.ts';
import { ratios } from '../support/statistics.ts';

const CONNECTIONS = 64;
/** Starts per second that the prepared agents suffice for. */
const PREPARED_PER_SECOND = 6000;

export const start64: Phase = {
  name: 'start64',
  what: 'start and stop on 64 workspaces, against an echo with a committed INSERT',
  run: (bench) => measureStarts(bench, 'start64', 64),
};

export const start1: Phase = {
  name: 'start1',
  what: 'start and stop on one workspace',
  run: (bench) => measureStarts(bench, 'start1', 1),
};

async function measureStarts(bench: Bench, name: string, workspaces: number): Promise<Figure[]> {
  const { world, options } = bench;
  const pool = await prepare(bench, name, workspaces);
  const { service } = world;
  const baseline = await world.baseline();
  await makeBaselineTables(world.db);

  const prepared = pool.map((path) => ({
    start: requestBytes(service.target, 'POST', `${path}/start`, {}),
    stop: requestBytes(service.target, 'POST', `${path}/stop`, {}),
  }));
  const insert = requestBytes(baseline.target, 'POST', '/insert', {});
  // One agent for each connection of the section that starts and stops in turn; it goes on where it was.
  const requests = prepared.slice(CONNECTIONS);
  const own = prepared.slice(0, CONNECTIONS).map((request) => ({ ...request, turn: 0 }));
  let started = 0;

  const results = await inTurn(bench, CONNECTIONS, {
    insert: (connections) =>
      bench.load('insert', baseline, {
        connections,
        seconds: options.seconds,
        next: () => insert,
        mustSay: '"success":true',
      }),
    // Each agent once: every start is a real one, and the answer to a second would have no decision.
    start: (connections) => {
      started = 0;
      return bench.load(`${name}-start`, service, {
        connections,
        seconds: options.seconds,
        next: () => requests[started++]?.start,
        mustSay: '"decisionId"',
      });
    },
    stop: (connections) => {
      let stopped = 0;
      const all = Math.min(started, requests.length);
      return bench.load(`${name}-stop`, service, {
        connections,
        seconds: Number.POSITIVE_INFINITY,
        next: () => (stopped < all ? requests[stopped++]?.stop : undefined),
        mustSay: '"auditEvent":{',
      });
    },
    alternate: (connections) =>
      bench.load(`${name}-alternate`, service, {
        connections,
        seconds: options.seconds,
        next: (connection) => {
          const agent = own[connection];
          return agent === undefined || agent.turn++ % 2 === 0 ? agent?.start : agent.stop;
        },
        mustSay: '"auditEvent":{',
      }),
  });

  const perSecond = rates(results.start);
  return [
    figure(`${name}.ratio`, 'starts against echo + committed INSERT', 'x', ratios(perSecond, rates(results.insert))),
    cpuRatio(name, results.start, results.insert),
    figure(`${name}.perSecond`, 'starts', '/s', perSecond),
    ...latencyFigures(name, results.start),
    figure(`${name}.stopsPerSecond`, 'stops', '/s', rates(results.stop)),
    figure(`${name}.alternating`, 'starts and stops in turn, both counted', '/s', rates(results.alternate)),
    figure(`${name}.baseline`, 'echo + committed INSERT', '/s', rates(results.insert)),
    ...cpuFigures(name, results.start),
    ...cpuFigures(`${name}.baseline`, results.insert),
  ];
}

/** The paths of stopped agents, neighbours in different workspaces; none is left running after a warm-up. */
async function prepare(bench: Bench, name: string, workspaces: number): Promise<string[]> {
  const { world, options } = bench;
  const each = Math.ceil((PREPARED_PER_SECOND * options.seconds + CONNECTIONS) / workspaces);
  bench.say(`${workspaces} workspaces with ${each} agents each`);
  const all: Agents[] = [];
  for (let n = 0; n < workspaces; n += 1) all.push(await workspaceWithAgents(world, `${name}-${n}`, each));
  await settleTables(world.db);
  return Array.from({ length: each }, (_, index) => index).flatMap((index) =>
    all.map((agents) => `/v1/workspaces/${agents.workspaceId}/agents/${agents.id(index)}`),
  );
}
