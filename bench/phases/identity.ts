import { fileURLToPath } from 'node:url';

import { type Figure, figure } from '../support/figure.ts';
import { requestBytes } from '../support/http-connection.ts';
import type { LoadResult } from '../support/load.ts';
import { cpuFigures, rates } from '../support/load-figures.ts';
import type { Bench, Phase } from '../support/phase.ts';
import { inTurn } from '../support/rounds.ts';
import { ratios } from '../support/statistics.ts';
import type { Server } from '../support/world.ts';

const PROGRAM = fileURLToPath(new URL('../identity-server.ts', import.meta.url));
const CONNECTIONS = 64;
const PATH = '/v1/workspaces/demo/echo';

export const identity: Phase = {
  name: 'identity',
  what: 'identity, permission and limits before a small answer, against Fastify with the same TLS alone',
  run: measureIdentity,
};

async function measureIdentity(bench: Bench): Promise<Figure[]> {
  const start = (parts: 'none' | 'http' | 'all') => bench.world.startProgram(PROGRAM, { BENCH_PARTS: parts });
  const [none, http, all] = [await start('none'), await start('http'), await start('all')];
  const load = (name: string, server: Server) => (connections: number) => {
    const request = requestBytes(server.target, 'GET', PATH);
    const { seconds } = bench.options;
    return bench.load(name, server, { connections, seconds, next: () => request, mustSay: '"success":true' });
  };
  const { bare, refusals, identity } = await inTurn(bench, CONNECTIONS, {
    bare: load('bare', none),
    refusals: load('refusals', http),
    identity: load('identity', all),
  });
  const cost = (results: readonly LoadResult[]) => results.map(({ cpu, requests }) => cpu.server / requests);
  const [with_, without, alone] = [cost(identity), cost(refusals), cost(bare)];
  const more = with_.map((value, round) => (value - (without[round] ?? Number.NaN)) / (alone[round] ?? Number.NaN));
  return [
    figure('identity.share', 'what they add to the CPU of a bare request', 'x', more),
    figure('identity.ratio', 'requests a second against the bare server', 'x', ratios(rates(identity), rates(bare))),
    figure('identity.perSecond', 'with them', '/s', rates(identity)),
    figure('identity.bare', 'Fastify alone', '/s', rates(bare)),
    ...cpuFigures('identity', identity),
    ...cpuFigures('identity.refusals', refusals),
    ...cpuFigures('identity.bare', bare),
  ];
}
