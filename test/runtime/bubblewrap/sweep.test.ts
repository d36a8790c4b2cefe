import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { isGone, newOwner, ownerName, parseOwner } from '../../../src/runtime/drivers/bubblewrap/owner.ts';
import { createPlaces } from '../../../src/runtime/drivers/bubblewrap/places.ts';
import { findTools } from '../../../src/runtime/drivers/bubblewrap/tools.ts';
import { isolationTest } from '../../support/isolation.ts';
import { watchLeftovers } from '../../support/leftovers.ts';
import type { Tap } from '../../support/postgres.ts';
import { exitWithin, type Running, running, start, until } from '../../support/process.ts';

isolationTest(t);

const OWNER = fileURLToPath(new URL('fixtures/owner.ts', import.meta.url));
const UID_BASE = 330_000;
const isRoot = process.getuid?.() === 0;
const asRoot = { skip: isRoot ? false : 'only root becomes another user' };

async function stateDir(t: Tap): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'c-sweep-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  await chmod(dir, 0o711);
  return join(dir, 's');
}

async function owner(t: Tap, dir: string): Promise<Running> {
  const service = start(t, [OWNER, dir, `${UID_BASE}`], {});
  await until(`it isolates: ${service.stderr()}`, () => {
    if (service.child.exitCode !== null) throw new Error(service.stderr());
    return service.stdout().includes('up\n');
  });
  return service;
}

async function places(t: Tap, dir: string) {
  const made = createPlaces({
    config: {
      stateDir: dir,
      cgroup: undefined,
      degradedLimits: !isRoot,
      uidBase: UID_BASE,
      slots: 8,
      toolchains: [],
    },
    tools: await findTools(process.env['PATH']),
    uid: process.getuid?.() ?? -1,
  });
  t.teardown(() => made.close());
  return made;
}

/** Living processes of one user of isolated processes. */
function processesOf(uid: number): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      const status = /^\d+$/.test(pid) ? readFileSync(`/proc/${pid}/status`, 'utf8') : '';
      return status.includes(`\nUid:\t${uid}\t`) && !/^State:\s+Z/m.test(status);
    } catch {
      // Ended meanwhile.
      return false;
    }
  });
}

t.test('a name says whose something is, and whether they live', async (t) => {
  const me = newOwner();
  t.same(parseOwner(ownerName(me)), me);
  t.same(parseOwner(`${ownerName(me)}-service`), me);
  t.notOk(isGone(me));
  t.ok(isGone({ ...me, started: '1' }), 'the pid was given out again');
  t.ok(isGone({ ...me, boot: 'ffffff' }), 'the machine was started anew');
  t.ok(isGone({ ...me, pid: 4_194_305 }));
  t.notOk(isGone({ ...me, pid: 4_194_305, pidNamespace: '1' }), 'who counts otherwise is not known');
  for (const name of ['castellan', 'castellan-1', `${ownerName(me)}/x`, `x${ownerName(me)}`, 'slots', '..'])
    t.equal(parseOwner(name), undefined, name);
  const child = spawn('sleep', ['1000']);
  const dead = { ...me, pid: child.pid ?? 0, started: '0' };
  t.ok(isGone(dead));
  child.kill('SIGKILL');
});

t.test('a service that is killed leaves no process, and the next one takes the rest away', async (t) => {
  const dir = await stateDir(t);
  const left = watchLeftovers(t);
  const service = await owner(t, dir);
  left.alsoOf(service.pid);
  const killed = performance.now();
  service.child.kill('SIGKILL');
  await service.exited;
  if (isRoot) await until('its processes are gone', () => processesOf(UID_BASE).length === 0, 1000);
  t.ok(performance.now() - killed < 1500);
  t.equal(readdirSync(dir).filter((name) => parseOwner(name) !== undefined).length, 1, 'its directory is still there');
  const next = await places(t, dir);
  await next.prepare();
  t.same(
    readdirSync(dir).filter((name) => name.startsWith(`castellan-${service.pid}-`)),
    [],
  );
  t.same(readdirSync(join(dir, 'slots')), []);
  await next.close();
  await left.nothingLeft();
});

t.test('what a living service owns is not touched', async (t) => {
  const dir = await stateDir(t);
  const service = await owner(t, dir);
  const next = await places(t, dir);
  await next.prepare();
  await next.sweep();
  await next.close();
  t.equal(readdirSync(dir).filter((name) => name.startsWith(`castellan-${service.pid}-`)).length, 1);
  service.child.kill('SIGTERM');
  await exitWithin(service, 20_000);
  const line = service.stdout().trim().split('\n').at(-1) ?? '';
  t.match(JSON.parse(line), { result: 'cancelled', state: { available: true } });
  t.same(
    readdirSync(dir).filter((name) => name !== 'slots'),
    [],
    'it takes its own away',
  );
});

t.test('what a dead service left leads nowhere', async (t) => {
  const dir = await stateDir(t);
  const first = await places(t, dir);
  await first.prepare();
  await first.close();
  const kept = join(dir, '..', 'kept');
  mkdirSync(kept);
  await writeFile(join(kept, 'file'), 'x');
  const name = ownerName({ ...newOwner(), started: '1' });
  const dead = join(dir, name);
  mkdirSync(join(dead, 'run', 'workspace'), { recursive: true });
  symlinkSync(kept, join(dead, 'run', 'workspace', 'out'));
  symlinkSync(kept, join(dir, ownerName({ ...newOwner(), started: '2' })));
  const [elsewhere, foreign] = [join(dir, '..', 'group', name), join(dir, '..', 'group', 'foreign')];
  mkdirSync(elsewhere, { recursive: true });
  mkdirSync(foreign);
  await writeFile(join(dead, 'cgroups'), `${elsewhere}\n${foreign}\nrelative\n`);
  await first.sweep();
  t.notOk(existsSync(dead));
  t.notOk(existsSync(elsewhere), 'the cgroup that it had somewhere else');
  t.ok(existsSync(foreign), 'only what bears its name');
  t.same(readdirSync(kept), ['file']);
  t.equal(await readFile(join(kept, 'file'), 'utf8'), 'x');
});

t.test('an ordinary user isolates as well, says that limits are degraded, and leaves nothing', asRoot, async (t) => {
  const home = await mkdtemp(join(tmpdir(), 'c-user-'));
  t.teardown(() => rm(home, { recursive: true, force: true }));
  await chmod(home, 0o1777);
  const dir = join(home, 's');
  const { setpriv } = await findTools(process.env['PATH']);
  const command = ['--reuid', '65534', '--regid', '65534', '--clear-groups', process.execPath, OWNER, dir, '0'];
  const service = running(t, spawn(setpriv, command, { env: {}, stdio: ['ignore', 'pipe', 'pipe'] }));
  await until('it isolates', () => {
    if (service.child.exitCode !== null) throw new Error(service.stderr());
    return service.stdout().includes('up\n');
  });
  t.match(service.stdout(), /^1000\n/);
  service.child.kill('SIGTERM');
  await exitWithin(service, 20_000);
  t.match(JSON.parse(service.stdout().trim().split('\n').at(-1) ?? ''), {
    result: 'cancelled',
    usage: { peakMemoryBytes: null },
    state: { available: true, limits: 'degraded' },
  });
  t.same(readdirSync(dir), ['slots']);
});
