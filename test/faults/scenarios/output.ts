import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { moreAcknowledged, requireAlive } from '../support/conduct.ts';
import type { FaultScenario } from '../support/run.ts';
import { requireExit } from './signals.ts';

const ENDED_WITHIN_MS = 25_000;
/** Acknowledged with an output that takes nothing: the service must not notice. */
const CALLS = 60;

export const OUTPUT_SCENARIOS: readonly FaultScenario[] = [
  {
    name: 'output-blocked',
    why: 'stdout and stderr are a pipe that is full and that nobody reads',
    runs: 5,
    fault: async ({ world, next }) => {
      const dir = await mkdtemp(join(tmpdir(), 'castellan-faults-output-'));
      const path = join(dir, 'pipe');
      execFileSync('mkfifo', [path]);
      // A reader that never reads, and a writer of its own: the instance's end must block, as a container's does.
      const reader = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
      const writer = openSync(path, 'w');
      try {
        const fromTheStart = world.random.next() < 0.5;
        if (fromTheStart) fillPipe(reader);
        const instance = await next({ output: writer });
        await moreAcknowledged(world, 10);
        if (!fromTheStart) fillPipe(reader);
        await moreAcknowledged(world, CALLS, 'a load with a blocked output');
        await requireAlive(instance);
        await world.recovered(instance);
        instance.expectEnd();
        instance.child.kill('SIGTERM');
        await requireExit(instance, ENDED_WITHIN_MS, [0]);
        await next();
      } finally {
        drainPipe(reader);
        closeSync(writer);
        closeSync(reader);
        await rm(dir, { recursive: true, force: true });
      }
    },
  },
];

/** Until not one byte more fits. */
function fillPipe(fd: number): void {
  for (const size of [65_536, 4096, 1]) {
    try {
      for (;;) writeSync(fd, Buffer.alloc(size, 10));
    } catch (error) {
      if (!isFull(error)) throw error;
    }
  }
}

/** What the process said at last may then leave, and the process with it. */
function drainPipe(fd: number): void {
  const chunk = Buffer.alloc(65_536);
  try {
    for (;;) readSync(fd, chunk);
  } catch (error) {
    if (!isFull(error)) throw error;
  }
}

function isFull(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EAGAIN';
}
