import { settleTables, workspaceWithAgents } from '../support/agents.ts';
import { makeBaselineTables } from '../support/baseline-tables.ts';
import { type Figure, figure } from '../support/figure.ts';
import { requestBytes } from '../support/http-connection.ts';
import { cpuFigures, cpuRatio, latencyFigures, rates } from '../support/load-figures.ts';
import type { Bench, Phase } from '../support/phase.ts';
import { inTurn } from '../support/rounds.ts';
import { ratios } from '../support/statistics.ts';

const CONNECTIONS = 64;
const AGENTS = 10_000;
/** Agents asked for in turn. */
const ASKED = 1000;

export const status: Phase = {
  name: 'status',
  what: 'status of one agent, against an echo with one SELECT by key',
  run: measureStatus,
};

async function measureStatus(bench: Bench): Promise<Figure[]> {
  const { world, options } = bench;
  const { service } = world;
  const agents = await workspaceWithAgents(world, 'status', AGENTS);
  await settleTables(world.db);
  await makeBaselineTables(world.db);
  const baseline = await world.baseline();

  // Spread over the table, so that neighbours are on different pages.
  const ids = Array.from({ length: ASKED }, (_, index) => agents.id((index * 7919) % AGENTS));
  const ask = (connections: number, path: (id: string) => string, target = service.target) => {
    const requests = ids.map((id) => requestBytes(target, 'GET', path(id)));
    let asked = 0;
    return {
      connections,
      seconds: options.seconds,
      next: () => requests[asked++ % requests.length],
      mustSay: '"status":"stopped"',
    };
  };

  const echo = requestBytes(baseline.target, 'GET', '/echo');
  const results = await inTurn(bench, CONNECTIONS, {
    echo: (connections) =>
      bench.load('echo', baseline, {
        connections,
        seconds: options.seconds,
        next: () => echo,
        mustSay: '"success":true',
      }),
    select: (connections) =>
      bench.load(
        'select',
        baseline,
        ask(connections, (id) => `/select/${agents.workspaceId}/${id}`, baseline.target),
      ),
    status: (connections) =>
      bench.load(
        'status',
        service,
        ask(connections, (id) => `/v1/workspaces/${agents.workspaceId}/agents/${id}/status`),
      ),
  });

  const perSecond = rates(results.status);
  return [
    figure('status.ratio', 'status against echo + one SELECT by key', 'x', ratios(perSecond, rates(results.select))),
    cpuRatio('status', results.status, results.select),
    figure('status.perSecond', 'status', '/s', perSecond),
    ...latencyFigures('status', results.status),
    figure('status.baseline', 'echo + one SELECT by key', '/s', rates(results.select)),
    figure('status.echo', 'bare echo', '/s', rates(results.echo)),
    ...cpuFigures('status', results.status),
    ...cpuFigures('status.baseline', results.select),
  ];
}
