import { type Figure, figure } from './figure.ts';
import type { LoadResult, Timing } from './load.ts';
import { ratios } from './statistics.ts';

export function rates(results: readonly Timing[]): number[] {
  return results.map((result) => result.perSecond);
}

export function latencyFigures(name: string, results: readonly Timing[]): Figure[] {
  const of = (key: 'p50' | 'p99' | 'max') => results.map((result) => result[key]);
  return [
    figure(`${name}.p50`, 'latency, half of them', 'ms', of('p50')),
    figure(`${name}.p99`, 'latency, 99 of 100', 'ms', of('p99')),
    figure(`${name}.max`, 'latency, the longest', 'ms', of('max')),
  ];
}

/** CPU time per request: what the noise of the machine disturbs least. */
export function cpuFigures(name: string, results: readonly LoadResult[]): Figure[] {
  const of = (key: 'client' | 'server' | 'postgres') =>
    results.map((result) => (result.cpu[key] / result.requests) * 1e6);
  return [
    figure(`${name}.cpu.server`, 'CPU of the server per request', 'µs', of('server')),
    figure(`${name}.cpu.postgres`, 'CPU of PostgreSQL per request', 'µs', of('postgres')),
    figure(`${name}.cpu.client`, 'CPU of the client per request', 'µs', of('client')),
    figure(
      `${name}.foreign`,
      'cores busy with something else meanwhile',
      'cores',
      results.map((result) => result.cpu.foreignCores),
    ),
  ];
}

/**
 * The ratio of the rates that two cores would give that did nothing else: by the CPU time of client, server and
 * PostgreSQL together. It says the same as the ratio of the rates on a quiet machine, and hardly moves on a busy one.
 */
export function cpuRatio(name: string, results: readonly LoadResult[], baselines: readonly LoadResult[]): Figure {
  const each = ({ cpu, requests }: LoadResult) => (cpu.client + cpu.server + cpu.postgres) / requests;
  return figure(
    `${name}.cpu.ratio`,
    'the same by CPU time per request',
    'x',
    ratios(baselines.map(each), results.map(each)),
  );
}
