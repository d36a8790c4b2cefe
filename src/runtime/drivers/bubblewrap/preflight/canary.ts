import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';

import { IsolationUnavailable } from '../../../errors.ts';
import type { Limits } from '../../../isolation.ts';
import { type Chain, launchChain } from '../chain.ts';
import type { ChainHost } from '../chain-host.ts';
import { sandboxEnvironment } from '../environment.ts';
import { SANDBOX_UID } from '../etc.ts';
import type { Place, Places } from '../place.ts';
import { brokenPromises, LOOK_AROUND, readFactsInside } from './inside.ts';

const MIB = 1024 ** 2;
const LIMITS: Limits = { cpu: 1, memoryBytes: 16 * MIB, pids: 24, diskBytes: 2 * MIB };
/** ms for one of them: a machine that is busy is no machine that cannot isolate. */
const DEADLINE_MS = 10_000;
const MAX_OUTPUT = 1_000_000;

const ALLOCATE = 'head -c 500000000 /dev/zero | tail >/dev/null; echo ended';
const FORK = 'i=0; while [ $i -lt 200 ]; do sleep 1000 & i=$((i+1)); done; echo "all forked"';
const IGNORE = `trap '' TERM; setsid sh -c "trap '' TERM HUP; echo up; exec sleep 1000" & sleep 1000`;

/** The canary started nothing; `said` is what bwrap has to say about it. */
export class NothingStarted extends Error {
  readonly said: string;

  constructor(said: string) {
    super(`nothing is started isolated: ${said}`);
    this.said = said;
  }
}

/**
 * Runs commands as production runs them and has them look for what must not be there. Throws NothingStarted, or
 * IsolationUnavailable for a promise that does not hold.
 */
export async function runCanary(host: ChainHost, places: Places, stateDir: string): Promise<void> {
  const broken = await inPlace(places, (place) => lookAround(host, place, stateDir));
  if (broken.length > 0) throw notHeld('canary', broken);
  const limits = [
    inPlace(places, (place) => endsDaemons(host, place)),
    ...(places.limits === 'enforced'
      ? [
          inPlace(places, (place) => limitsMemory(host, place)),
          inPlace(places, (place) => limitsProcesses(host, place)),
        ]
      : []),
  ];
  // All are waited for: none leaves a place behind.
  const outcomes = await Promise.allSettled(limits);
  const unheld = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? outcome.value : []));
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  if (unheld.length > 0) throw notHeld('canary-limits', unheld);
}

async function lookAround(host: ChainHost, place: Place, stateDir: string): Promise<string[]> {
  // What this process was started with, as others of its user could read it.
  const own = (await readFile('/proc/self/environ', 'utf8')).split('\0');
  const listener = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    listener.once('error', reject);
    listener.listen(0, '127.0.0.1', resolve);
  });
  const address = listener.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  try {
    const { text } = await finish(host, place, ['sh', '-c', LOOK_AROUND, 'canary', stateDir, `${port}`]);
    return brokenPromises(readFactsInside(text), {
      environment: sandboxEnvironment({ env: {}, toolchains: host.toolchains, hasEgress: false }),
      own,
      uid: SANDBOX_UID,
    });
  } finally {
    await new Promise((resolve) => listener.close(resolve));
  }
}

async function limitsMemory(host: ChainHost, place: Place): Promise<string[]> {
  const { chain } = await finish(host, place, ['sh', '-c', ALLOCATE]);
  return (await chain.cgroup.oomKills()) > 0 ? [] : ['memory is limited'];
}

async function limitsProcesses(host: ChainHost, place: Place): Promise<string[]> {
  // Some shells try again for long after what they say of the first refusal.
  const { text } = await finish(host, place, ['sh', '-c', FORK], /fork/);
  return /fork/.test(text) && !text.includes('all forked') ? [] : ['processes are limited'];
}

async function endsDaemons(host: ChainHost, place: Place): Promise<string[]> {
  const { text } = await finish(host, place, ['sh', '-c', IGNORE], /up/);
  return text.includes('up') ? [] : ['what ignores SIGTERM is started'];
}

/** To its end, or to its end by us once it has said `until`. */
async function finish(
  host: ChainHost,
  place: Place,
  command: readonly string[],
  until?: RegExp,
): Promise<{ text: string; chain: Chain }> {
  const said: Buffer[] = [];
  let bytes = 0;
  const heard = Promise.withResolvers<void>();
  const chain = await launchChain(host, place, {
    command,
    env: {},
    onOutput: (_stream, chunk) => {
      bytes += chunk.length;
      if (bytes <= MAX_OUTPUT) said.push(Buffer.from(chunk));
      if (until?.test(Buffer.concat(said).toString())) heard.resolve();
    },
  });
  const timer = setTimeout(heard.resolve, DEADLINE_MS);
  const ended = await Promise.race([chain.exited, heard.promise]);
  clearTimeout(timer);
  await chain.kill();
  const text = Buffer.concat(said).toString();
  if (ended?.started === false || !(await chain.started)) throw new NothingStarted(text);
  return { text, chain };
}

async function inPlace<T>(places: Places, work: (place: Place) => Promise<T>): Promise<T> {
  const place = await places.open(LIMITS);
  try {
    return await work(place);
  } finally {
    await place.release();
  }
}

function notHeld(check: string, broken: readonly string[]): IsolationUnavailable {
  return new IsolationUnavailable({
    check,
    observed: `from inside it does not hold that ${broken.join('; ')}`,
    fix: 'Compare this machine with the requirements in docs/isolation.md; nothing is run on it as it is',
  });
}
