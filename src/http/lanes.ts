import type { RouteOptions } from 'fastify';

/**
 * What a request may be kept waiting behind. `brake`: stops something, and is bounded by nothing but other brakes ·
 * `write`: the other changes · `read`: the rest, and the first to be refused when the process is busy. Health has a listener of its own.
 */
export const LANES = ['brake', 'write', 'read'] as const;

export type Lane = (typeof LANES)[number];

const CHANGING = new Set(['POST', 'PUT', 'PATCH', 'DELETE']);

/** The lane a route declares, or the one its method has. */
export function laneOf(route: Pick<RouteOptions, 'method' | 'config'>): Lane {
  const { lane, readOnly } = route.config ?? {};
  if (lane !== undefined) return lane;
  const changes = [route.method].flat().some((method) => CHANGING.has(method.toUpperCase()));
  return changes && readOnly !== true ? 'write' : 'read';
}

export function isLane(name: unknown): name is Lane {
  return LANES.some((lane) => lane === name);
}
