import { spawn, spawnSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, statfsSync, symlinkSync } from 'node:fs';
import { chmod, chown, mkdtemp, readdir, readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import t from 'tap';

import type { BubblewrapConfig } from '../../../src/config/runtime.ts';
import { createPlaces } from '../../../src/runtime/drivers/bubblewrap/places.ts';
import { areMapped } from '../../../src/runtime/drivers/bubblewrap/slots.ts';
import { findTools, type Tools } from '../../../src/runtime/drivers/bubblewrap/tools.ts';
import { IsolationUnavailable } from '../../../src/runtime/errors.ts';
import { isolationTest } from '../../support/isolation.ts';
import { watchLeftovers } from '../../support/leftovers.ts';
import type { Tap } from '../../support/postgres.ts';
import { until } from '../../support/process.ts';

isolationTest(t);

const MIB = 1024 ** 2;
const LIMITS = { cpu: 1, memoryBytes: 16 * MIB, pids: 16, diskBytes: 4 * MIB };
const UID_BASE = 320_000;
const asRoot = { skip: process.getuid?.() === 0 ? false : 'only root gives ids and mounts' };

async function stateDir(t: Tap): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'c-places-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

async function places(t: Tap, config: Partial<BubblewrapConfig> = {}, replace: Partial<Tools> = {}) {
  const made = createPlaces({
    config: {
      stateDir: config.stateDir ?? (await stateDir(t)),
      cgroup: undefined,
      degradedLimits: false,
      uidBase: UID_BASE,
      slots: 8,
      toolchains: [],
      ...config,
    },
    tools: { ...(await findTools(process.env['PATH'])), ...replace },
    uid: process.getuid?.() ?? -1,
  });
  t.teardown(() => made.close());
  return made;
}

/** Runs a shell in the cgroups of a command. */
function inside(joinPaths: readonly string[], script: string) {
  const enter = joinPaths.map((path) => `echo 0 >${path}`).join(' && ');
  return spawnSync('sh', ['-c', `${enter} && ${script}`], { encoding: 'utf8' });
}

t.test('each place has an id, a directory and a tmpfs of its own, and gives all of it back', asRoot, async (t) => {
  const left = watchLeftovers(t);
  const all = await places(t);
  const [one, two] = await Promise.all([all.open(LIMITS), all.open(LIMITS)]);
  t.equal(all.limits, 'enforced');
  t.same([one.slot?.uid, two.slot?.uid].toSorted(), [UID_BASE, UID_BASE + 1]);
  t.equal(all.slots.used, 2);
  const { uid, gid, mode } = lstatSync(one.workspaceDir);
  t.same([uid, gid, mode & 0o7777], [one.slot?.uid, one.slot?.gid, 0o700]);
  const size = statfsSync(one.workspaceDir);
  t.equal(size.blocks * size.bsize, LIMITS.diskBytes);
  t.ok(size.files <= 1024, 'inodes are few');
  const mounted = (await readFile('/proc/self/mountinfo', 'utf8'))
    .split('\n')
    .find((l) => l.includes(one.workspaceDir));
  t.match(mounted, /nosuid,nodev/);
  await one.release();
  await one.release();
  t.notOk(existsSync(one.dir));
  const three = await all.open(LIMITS);
  t.equal(three.slot?.uid, one.slot?.uid, 'a released id is given again');
  await Promise.all([two.release(), three.release()]);
  await all.close();
  await left.nothingLeft();
});

t.test('two services of one machine never share an id', asRoot, async (t) => {
  const dir = await stateDir(t);
  const [mine, theirs] = [await places(t, { stateDir: dir }), await places(t, { stateDir: dir })];
  const [one, two] = [await mine.open(LIMITS), await theirs.open(LIMITS)];
  t.not(one.slot?.uid, two.slot?.uid);
  await one.release();
  await two.release();
});

t.test('when every slot is taken there is none', async (t) => {
  const all = await places(t, { slots: 1, degradedLimits: true });
  const one = await all.open(LIMITS);
  await t.rejects(all.open(LIMITS), { code: 'ISOLATION_UNAVAILABLE', problem: { check: 'slots' } });
  await one.release();
  await (await all.open(LIMITS)).release();
});

t.test('a place that gets no cgroup, or no workspace, leaves nothing', asRoot, async (t) => {
  const left = watchLeftovers(t);
  const all = await places(t);
  const one = await all.open(LIMITS);
  const { joinPaths } = await one.enter();
  await one.release();
  await t.rejects(all.open({ ...LIMITS, diskBytes: -1 }), /workspaces/);
  t.equal(all.slots.used, 0);
  const parent = dirname(dirname(joinPaths.at(-1) ?? ''));
  await rmdir(parent);
  await t.rejects(all.open(LIMITS), { code: 'ENOENT' });
  t.equal(all.slots.used, 0);
  mkdirSync(parent);
  await (await all.open(LIMITS)).release();
  await all.close();
  await left.nothingLeft();
});

t.test('memory: the kernel kills, it is counted, and the next command begins anew', asRoot, async (t) => {
  const place = await (await places(t)).open(LIMITS);
  const command = await place.enter();
  inside(command.joinPaths, 'head -c 400000000 /dev/zero | tail >/dev/null');
  t.ok((await command.oomKills()) >= 1);
  const { peakMemoryBytes, cpuMs } = await command.usage();
  t.ok((peakMemoryBytes ?? 0) > LIMITS.memoryBytes);
  t.ok((cpuMs ?? 0) > 0);
  const next = await place.enter();
  t.equal(inside(next.joinPaths, 'echo fine').stdout, 'fine\n');
  t.equal(await next.oomKills(), 0);
  t.ok(((await next.usage()).peakMemoryBytes ?? 0) < 8 * MIB);
  await place.release();
});

t.test('processes: no more than allowed', asRoot, async (t) => {
  const place = await (await places(t)).open(LIMITS);
  const { joinPaths, kill } = await place.enter();
  const { stderr } = inside(
    joinPaths,
    'i=0; while [ $i -lt 60 ]; do sleep 60 & i=$((i+1)); done >/dev/null 2>/dev/null',
  );
  t.match(`${stderr} fork`, /fork/);
  const [first = ''] = joinPaths;
  const procs = (await readFile(first, 'utf8')).trim().split('\n').length;
  t.ok(procs > 8 && procs <= LIMITS.pids + 4, `${procs} processes`);
  await kill();
  for (const path of joinPaths) t.equal(await readFile(path, 'utf8'), '');
  await place.release();
});

t.test('disk: full in bytes, or in inodes, and that is seen', asRoot, async (t) => {
  const place = await (await places(t)).open(LIMITS);
  t.notOk(await place.isDiskFull());
  spawnSync('dd', ['if=/dev/zero', `of=${place.workspaceDir}/big`, 'bs=1M', 'count=9']);
  t.ok(await place.isDiskFull());
  await rm(join(place.workspaceDir, 'big'));
  t.notOk(await place.isDiskFull());
  for (let i = 0; !(await place.isDiskFull()) && i < 5000; i += 1)
    await writeFile(join(place.workspaceDir, `${i}`), '').catch(() => undefined);
  t.ok(await place.isDiskFull());
  await place.release();
});

t.test('a release ends what daemonised and ignores signals, and waits for what is busy', asRoot, async (t) => {
  const left = watchLeftovers(t);
  const all = await places(t);
  const place = await all.open(LIMITS);
  const { joinPaths } = await place.enter();
  const script = `cd ${place.workspaceDir} && touch here && trap "" TERM HUP && exec setsid sleep 1000`;
  const child = spawn('sh', ['-c', `${joinPaths.map((path) => `echo 0 >${path}`).join(' && ')} && ${script}`]);
  await until('it is in', () => existsSync(join(place.workspaceDir, 'here')));
  // Somebody of ours who looks into the workspace, and leaves a moment later.
  const looker = spawn('sh', ['-c', `cd ${place.workspaceDir} && echo in && read x`], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  await new Promise((resolve) => looker.stdout.once('data', resolve));
  const released = place.release();
  await until('the daemon is gone', () => child.signalCode === 'SIGKILL');
  looker.stdin.end('\n');
  await released;
  await all.close();
  await left.nothingLeft();
});

t.test('a hostile tree goes, and what its links lead to stays', async (t) => {
  const dir = await stateDir(t);
  const all = await places(t, { degradedLimits: true });
  const { removeTree } = await import('../../../src/runtime/drivers/bubblewrap/workspaces.ts');
  const tools = await findTools(process.env['PATH']);
  const kept = join(dir, 'kept');
  mkdirSync(kept);
  await writeFile(join(kept, 'file'), 'x');
  const tree = join(dir, 'tree');
  // Longer than a path may be.
  const deep = "const d = 'd'.repeat(20); for (let i = 0; i < 400; i++) { fs.mkdirSync(d); process.chdir(d); }";
  mkdirSync(tree);
  symlinkSync(kept, join(tree, 'link'));
  symlinkSync('/', join(tree, 'root'));
  spawnSync('sh', ['-c', `cd ${tree} && mkdir -p locked/in && touch -- -rf "a b" && chmod 000 locked`]);
  spawnSync(process.execPath, ['-e', deep], { cwd: tree });
  await t.rejects(rm(tree, { recursive: true }), 'Node itself cannot');
  await removeTree(tools, tree);
  t.notOk(existsSync(tree));
  t.same(await readdir(kept), ['file']);
  await all.close();
});

t.test('a state directory is of the service alone', async (t) => {
  const dir = await stateDir(t);
  const refused = async (stateDir: string, observed: RegExp) => {
    const all = await places(t, { stateDir, degradedLimits: true });
    const error = await all.prepare().then(
      () => undefined,
      (e: unknown) => e,
    );
    t.ok(error instanceof IsolationUnavailable, stateDir);
    t.match(error, { problem: { check: 'state-dir', observed, fix: /CASTELLAN_RUNTIME_STATE_DIR/ } });
  };
  await writeFile(join(dir, 'file'), '');
  await refused(join(dir, 'file'), /no directory/);
  await refused(join(dir, 'x'.repeat(60)), /longer/);
  if (process.getuid?.() !== 0) return;
  mkdirSync(join(dir, 'theirs'));
  await chown(join(dir, 'theirs'), 12_345, 12_345);
  await refused(join(dir, 'theirs'), /belongs to user 12345/);
  mkdirSync(join(dir, 'theirs', 's'));
  await refused(join(dir, 'theirs', 's'), /below .*theirs, which belongs to user 12345/);
  mkdirSync(join(dir, 'everybodys', 's'), { recursive: true });
  await chmod(join(dir, 'everybodys'), 0o777);
  await refused(join(dir, 'everybodys', 's'), /below .*everybodys, which others may write/);
  mkdirSync(join(dir, 'closed', 's'), { recursive: true });
  await chmod(join(dir, 'closed'), 0o700);
  await chmod(dir, 0o711);
  await refused(join(dir, 'closed', 's'), /does not let them through/);
  const open = join(dir, 'open');
  mkdirSync(open);
  await chmod(open, 0o777);
  const all = await places(t, { stateDir: open });
  await all.prepare();
  t.equal(lstatSync(open).mode & 0o777, 0o711, 'what others could write they can no more');
  t.equal(dirname(open), dir);
});

t.test('root of a user namespace has only the ids that are mapped', async (t) => {
  t.ok(areMapped('         0          0 4294967295\n', 210_000, 256));
  t.notOk(areMapped('0 1000 1\n1 100000 65536\n', 210_000, 256));
  t.ok(areMapped('0 1000 1\n1 100000 300000\n', 210_000, 256));
  t.notOk(areMapped('', 210_000, 256));
});

t.test('what could not be given back is given back before the next place, or at the end', asRoot, async (t) => {
  const left = watchLeftovers(t);
  const dir = await mkdtemp(join(tmpdir(), 'c-tool-'));
  t.teardown(() => rm(dir, { recursive: true }));
  const umount = join(dir, 'umount');
  const { umount: real } = await findTools(process.env['PATH']);
  const breaks = join(dir, 'breaks');
  await writeFile(umount, `#!/bin/sh\n[ -e ${breaks} ] && { echo out of order; exit 1; }\nexec ${real} "$@"\n`, {
    mode: 0o755,
  });
  const all = await places(t, { slots: 1 }, { umount });
  const one = await all.open(LIMITS);
  await writeFile(breaks, '');
  await t.rejects(one.release(), /out of order/);
  await t.rejects(all.open(LIMITS), { message: /^slots/ }, 'its user is not given to another meanwhile');
  await rm(breaks);
  const two = await all.open(LIMITS);
  t.equal(two.slot?.uid, one.slot?.uid);
  // As it is left by a group that could be made only in part.
  const [joined] = (await two.enter()).joinPaths;
  if (joined === undefined) throw new Error('there is no cgroup');
  mkdirSync(join(dirname(dirname(joined)), 'part'));
  await writeFile(breaks, '');
  await t.rejects(two.release(), /out of order/);
  await rm(breaks);
  await all.close();
  await left.nothingLeft();
});
