import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { type Figure, figure } from '../support/figure.ts';
import { requestBytes } from '../support/http-connection.ts';
import { cpuFigures, cpuRatio, rates } from '../support/load-figures.ts';
import type { Bench, Phase } from '../support/phase.ts';
import { inTurn } from '../support/rounds.ts';
import { ratios } from '../support/statistics.ts';
import type { World } from '../support/world.ts';

const CONNECTIONS = 64;
/** Half of them locks in the database, half serial numbers in a file. */
const ENTRIES = 10_000;
/** ms; the service looks for both at least once a second. */
const NOTICED = 2_500;

export const locks: Phase = {
  name: 'locks',
  what: `a request with ${ENTRIES} certificates and principals locked out, against none`,
  run: measureLocks,
};

async function measureLocks(bench: Bench): Promise<Figure[]> {
  const { world, options } = bench;
  const file = join(world.home, 'serials');
  await writeFile(file, '');
  const service = await world.startService({ CASTELLAN_IDENTITY_REVOKED_SERIALS_FILE: file });
  // Nothing behind it but who calls: a path that is nobody's is refused to who is known.
  const request = requestBytes(service.target, 'GET', '/v1/nothing');
  const load = async (name: string, entries: number, connections: number) => {
    await lockOut(world, file, entries);
    const { seconds } = options;
    const mustSay = '"code":"NOT_FOUND"';
    return bench.load(name, service, { connections, seconds, next: () => request, mustSay, status: 404 });
  };
  try {
    const results = await inTurn(bench, CONNECTIONS, {
      none: (connections) => load('none', 0, connections),
      locks: (connections) => load('locks', ENTRIES, connections),
    });
    const [none, many] = [rates(results.none), rates(results.locks)];
    return [
      figure('locks.ratio', 'requests a second against none', 'x', ratios(many, none)),
      cpuRatio('locks', results.locks, results.none),
      figure('locks.perSecond', 'with them', '/s', many),
      figure('locks.none', 'without', '/s', none),
      ...cpuFigures('locks', results.locks),
      ...cpuFigures('locks.none', results.none),
    ];
  } finally {
    await lockOut(world, file, 0);
    await service.stop();
  }
}

/** Has exactly so many of nobody that calls locked out, and waits until the service knows. */
async function lockOut({ db }: World, file: string, entries: number): Promise<void> {
  const half = entries / 2;
  await db.query('DELETE FROM access_locks');
  await db.query(
    `INSERT INTO access_locks (id, seq, serial, principal_id, placed_at, placed_by)
     SELECT gen_random_uuid(), n, CASE WHEN n % 2 = 0 THEN 'FFFF' || upper(to_hex(n)) END,
       CASE WHEN n % 2 = 1 THEN 'nobody-' || n END, now(), 'bench' FROM generate_series(1, $1::integer) AS n`,
    [half],
  );
  const serials = Array.from({ length: half }, (_, n) => `EEEE${n.toString(16)}`);
  await writeFile(file, serials.join('\n'));
  await delay(NOTICED);
}
