import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';

import { closeInheritedDescriptors } from '../../src/boot/descriptors.ts';

const BWRAP = 'bwrap';
const TOOLS = [BWRAP, 'socat', 'setpriv', 'prlimit'];
const PROBE = ['--unshare-user', '--unshare-pid', '--unshare-net', '--ro-bind', '/', '/', '--', 'true'];

/** What stands in the way of isolation here; `byKernel`: no package that is installed would change it. */
interface Obstacle {
  readonly reason: string;
  readonly byKernel: boolean;
}

let known: { readonly obstacle: Obstacle | undefined } | undefined;

/**
 * For the top of a file whose tests isolate: where that cannot be, the file is skipped with the reason. Under CI it fails
 * instead, for there the tools are installed (`npm run setup:system`); only a kernel that forbids namespaces is an excuse.
 */
export function isolationTest(t: { plan(n: number, comment: string): void }): void {
  const skip = isolationSkip();
  if (skip === false) return;
  t.plan(0, skip);
  process.exit(0);
}

/** The same for single tests: `t.test(name, { skip: isolationSkip() }, …)`. Throws under CI. */
export function isolationSkip(): string | false {
  if (known === undefined) {
    known = { obstacle: obstacle() };
    // What the tests were started with would be seen inside, and refused, as it must be.
    closeInheritedDescriptors();
  }
  if (known.obstacle === undefined) return false;
  const { reason, byKernel } = known.obstacle;
  if (process.env['CI'] === 'true' && !byKernel) throw new Error(`no isolation under CI: ${reason}`);
  return reason;
}

function obstacle(): Obstacle | undefined {
  if (process.platform !== 'linux') return { reason: 'only Linux isolates', byKernel: true };
  const missing = TOOLS.filter((tool) => !isOnPath(tool));
  if (missing.length > 0)
    return { reason: `not installed: ${missing.join(', ')} (npm run setup:system)`, byKernel: false };
  const { status, stderr } = spawnSync(BWRAP, PROBE, { encoding: 'utf8', timeout: 10_000 });
  return status === 0 ? undefined : { reason: `the kernel forbids namespaces: ${stderr.trim()}`, byKernel: true };
}

function isOnPath(tool: string): boolean {
  return (process.env['PATH'] ?? '').split(':').some((dir) => {
    try {
      accessSync(join(dir, tool), constants.X_OK);
      return true;
    } catch {
      // Not in this directory.
      return false;
    }
  });
}
