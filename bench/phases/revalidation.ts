import { type Agents, settleTables, workspaceWithAgents } from '../support/agents.ts';
import { type Figure, figure } from '../support/figure.ts';
import { requestBytes } from '../support/http-connection.ts';
import { cpuFigures, latencyFigures, rates } from '../support/load-figures.ts';
import type { Bench, Phase } from '../support/phase.ts';
import { changedBundle, promoteAll, secondsOf, untilDone } from '../support/revalidations.ts';
import { inTurn } from '../support/rounds.ts';

const AGENTS = { usual: 2000, full: 10_000 };
const CONNECTIONS = 64;
/** As long as the slowest machine needs for all of them. */
const WAVE_SECONDS = 600;

export const revalidation: Phase = {
  name: 'revalidation',
  what: 'hot reload of the policy, and revalidation of every governed agent',
  run: measureRevalidation,
};

async function measureRevalidation(bench: Bench): Promise<Figure[]> {
  const { world, options } = bench;
  const count = options.full ? AGENTS.full : AGENTS.usual;
  const agents = await workspaceWithAgents(world, 'revalidation', count);
  await settleTables(world.db);
  bench.say(`promoting ${count} agents`);
  const promotion = await bench.profile('promotion', () => promoteAll(bench, agents));
  await settleTables(world.db);

  const policy = `/v1/workspaces/${agents.workspaceId}/policy`;
  const [reload, worked, asked]: [number[], number[], number[]] = [[], [], []];
  // The round before the first warms up.
  for (let round = 0; round <= options.rounds; round += 1) {
    const started = performance.now();
    const bundle = await changedBundle(round);
    const reloaded = await bench.profile('hotreload', async () =>
      untilDone(world.call, policy, await world.call('POST', `${policy}/hotreload`, bundle), count),
    );
    const reloadSeconds = (performance.now() - started) / 1000;
    const begun = performance.now();
    await untilDone(world.call, policy, await world.call('POST', `${policy}/revalidate`, {}), count);
    const askedSeconds = (performance.now() - begun) / 1000;
    const workedSeconds = await secondsOf(bench, reloaded.id);
    bench.say(
      `  round ${round}: reload ${reloadSeconds.toFixed(2)} s, of it ${workedSeconds.toFixed(2)} s revalidation`,
    );
    if (round === 0) continue;
    reload.push(reloadSeconds);
    worked.push(count / workedSeconds);
    asked.push(count / askedSeconds);
  }
  return [
    ...(await measureGovernedStarts(bench, agents)),
    figure('revalidation.perSecond', `agents revalidated by a hot reload, of ${count}`, '/s', worked),
    figure('revalidation.asked', `agents revalidated by POST …/policy/revalidate, of ${count}`, '/s', asked),
    figure('revalidation.reload', 'hot reload as a whole: compile, activate, revalidate', 's', reload),
    figure('revalidation.promotions', 'promotions by batches, in the preparation', '/s', [promotion]),
  ];
}

/** All seven checks: a proof to verify for each of them. The agents have no other phase to be started in. */
async function measureGovernedStarts(bench: Bench, agents: Agents): Promise<Figure[]> {
  const { service } = bench.world;
  const paths = Array.from(
    { length: agents.count },
    (_, index) => `/v1/workspaces/${agents.workspaceId}/agents/${agents.id(index)}`,
  );
  const wave = (verb: string, mustSay: string) => {
    const requests = paths.map((path) => requestBytes(service.target, 'POST', `${path}/${verb}`, {}));
    return (connections: number) => {
      let sent = 0;
      const next = () => requests[sent++];
      return bench.load(`governed-${verb}`, service, { connections, seconds: WAVE_SECONDS, next, mustSay });
    };
  };
  const results = await inTurn(bench, CONNECTIONS, {
    start: wave('start', '"decisionId"'),
    stop: wave('stop', '"auditEvent":{'),
  });
  return [
    figure('governed.perSecond', 'starts of governed agents on one workspace', '/s', rates(results.start)),
    ...latencyFigures('governed', results.start),
    ...cpuFigures('governed', results.start),
  ];
}
