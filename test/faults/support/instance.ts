// An instance of the service for the fault harness: what `castellan serve` runs, with failpoints and a clock that the
// parent process sets over its private channel. Nothing of this is reachable in an installation.
import { flushCompileCache } from 'node:module';

import { EXIT } from '../../../src/cli/command.ts';
import { stopSignal } from '../../../src/cli/signals.ts';
import type { Environment } from '../../../src/config/read.ts';
import { loadServiceConfig } from '../../../src/config.ts';
import type { Failpoint, Failpoints } from '../../../src/failpoints.ts';
import { createLogger } from '../../../src/logger.ts';
import { startService } from '../../../src/service.ts';

/** What the parent says. */
export type Order =
  | { readonly do: 'start'; readonly settings: Environment; readonly workspaces: readonly string[] }
  /** Ends this process with SIGKILL when the failpoint is passed for the nth time from now on. */
  | { readonly do: 'kill-at'; readonly failpoint: Failpoint; readonly nth: number }
  /** Holds every unit at the failpoint for that long; 0 lets them pass. */
  | { readonly do: 'hold-at'; readonly failpoint: Failpoint; readonly ms: number }
  /** Moves the clock that was injected into the service. */
  | { readonly do: 'move-clock'; readonly ms: number };

/** What it answers. */
export type Report =
  | { readonly is: 'ready'; readonly apiUrl: string; readonly opsUrl: string }
  | { readonly is: 'done' };

let deadly: { failpoint: Failpoint; left: number } | undefined;
let held: { failpoint: Failpoint; ms: number } | undefined;
let moved = 0;

const failpoints: Failpoints = async (name) => {
  if (deadly?.failpoint === name) {
    deadly.left -= 1;
    if (deadly.left <= 0) process.kill(process.pid, 'SIGKILL');
  }
  if (held?.failpoint === name && held.ms > 0) {
    const { promise, resolve } = Promise.withResolvers<void>();
    setTimeout(resolve, held.ms);
    await promise;
  }
};

async function serve(settings: Environment, workspaces: readonly string[]): Promise<void> {
  const config = loadServiceConfig(settings, process.execArgv);
  const logger = createLogger(config.logLevel);
  const stopped = stopSignal(logger);
  const options = { logger, clock: () => Date.now() + moved, failpoints };
  const service = await startService(config, options);
  for (const workspace of workspaces) await service.ensureWorkspace(workspace);
  // A process that is killed keeps nothing of what it has compiled; the next one boots in half the time.
  flushCompileCache();
  report({ is: 'ready', apiUrl: service.apiUrl, opsUrl: service.opsUrl });
  await stopped.signal;
  service.drain();
  await service.close();
  process.disconnect();
  process.exitCode = EXIT.ok;
}

function report(said: Report): void {
  process.send?.(said);
}

function obey(order: Order): void {
  switch (order.do) {
    case 'start':
      serve(order.settings, order.workspaces).catch((error: unknown) => {
        console.error(error);
        process.exit(EXIT.failed);
      });
      return;
    case 'kill-at':
      deadly = { failpoint: order.failpoint, left: order.nth };
      break;
    case 'hold-at':
      held = { failpoint: order.failpoint, ms: order.ms };
      break;
    case 'move-clock':
      moved = order.ms;
  }
  report({ is: 'done' });
}

process.on('message', obey);
// The parent is gone: an instance without one would live for ever.
process.on('disconnect', () => {
  if (process.exitCode === undefined) process.exit(EXIT.failed);
});
