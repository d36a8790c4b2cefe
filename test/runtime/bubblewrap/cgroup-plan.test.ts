import t from 'tap';

import { planCgroups } from '../../../src/runtime/drivers/bubblewrap/cgroups/plan.ts';
import {
  counter,
  parseMountinfo,
  parseSelfCgroup,
  whole,
} from '../../../src/runtime/drivers/bubblewrap/cgroups/proc.ts';

const SYSTEMD_V2 =
  '35 24 0:30 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n';
const HYBRID = `31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
33 31 0:30 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
`;
const HYBRID_SELF = '9:name=systemd:/\n8:pids:/\n4:memory:/some/where\n2:cpuacct:/\n1:cpu:/\n0::/\n';

t.test('systemd with v2: the own cgroup and those above it', async (t) => {
  t.same(planCgroups(SYSTEMD_V2, '0::/system.slice/castellan.service\n', undefined), {
    unified: ['/sys/fs/cgroup/system.slice/castellan.service', '/sys/fs/cgroup/system.slice', '/sys/fs/cgroup'],
    v1: {},
  });
});

t.test('hybrid: controllers of v1, each with its own path, and v2 besides', async (t) => {
  t.same(planCgroups(HYBRID, HYBRID_SELF, undefined), {
    unified: ['/sys/fs/cgroup/unified'],
    v1: {
      memory: '/sys/fs/cgroup/memory/some/where',
      pids: '/sys/fs/cgroup/pids',
      cpu: '/sys/fs/cgroup/cpu',
      cpuacct: '/sys/fs/cgroup/cpuacct',
    },
  });
});

t.test('v1 alone, with controllers that are mounted together', async (t) => {
  const mounts = `32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
`;
  t.same(planCgroups(mounts, '3:cpu,cpuacct:/a\n2:memory:/a\n1:pids:/a\n', undefined), {
    unified: [],
    v1: {
      memory: '/sys/fs/cgroup/memory/a',
      pids: '/sys/fs/cgroup/pids/a',
      cpu: '/sys/fs/cgroup/cpu,cpuacct/a',
      cpuacct: '/sys/fs/cgroup/cpu,cpuacct/a',
    },
  });
});

t.test('containers: paths count from the part that is mounted', async (t) => {
  t.same(
    planCgroups('60 50 0:30 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw\n', '0::/\n', undefined).unified,
    ['/sys/fs/cgroup'],
    'with a namespace of cgroups',
  );
  const bound = '60 50 0:32 /docker/f00 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n';
  t.same(planCgroups(bound, '4:memory:/docker/f00\n', undefined).v1, { memory: '/sys/fs/cgroup/memory' });
  t.same(planCgroups(bound, '4:memory:/docker/f00/in\n', undefined).v1, { memory: '/sys/fs/cgroup/memory/in' });
  t.same(planCgroups(bound, '4:memory:/docker/f00d\n', undefined).v1, {}, 'another container is not it');
  t.same(planCgroups(SYSTEMD_V2, '0::/../other\n', undefined).unified, [], 'outside of the namespace');
});

t.test('a named cgroup is that one, below every mount, and none above it', async (t) => {
  t.same(planCgroups(SYSTEMD_V2, '0::/x\n', '/agents.slice').unified, ['/sys/fs/cgroup/agents.slice']);
  t.same(planCgroups(HYBRID, HYBRID_SELF, '/agents').v1.memory, '/sys/fs/cgroup/memory/agents');
});

t.test('a service that another isolation of its process has moved counts from where it was', async (t) => {
  const moved = '0::/castellan.service/castellan-12-ab1-00ff00-1u-1-service\n';
  t.same(planCgroups(SYSTEMD_V2, moved, undefined).unified, ['/sys/fs/cgroup/castellan.service', '/sys/fs/cgroup']);
});

t.test('nothing is mounted', async (t) => {
  t.same(planCgroups('', '', undefined), { unified: [], v1: {} });
  t.same(planCgroups('27 1 254:0 / / rw - ext4 /dev/vda rw\n', '0::/\n', undefined), { unified: [], v1: {} });
});

t.test('files of the kernel', async (t) => {
  const [mount] = parseMountinfo('1 2 0:1 /a\\040b /mnt/c\\134d rw,nosuid shared:1 master:2 - tmpfs - rw,size=4k\n');
  t.match(mount, { root: '/a b', point: '/mnt/c\\d', options: ['rw', 'nosuid'], type: 'tmpfs' });
  t.same(parseMountinfo('garbage\n\n'), []);
  t.same(parseSelfCgroup('4:memory:/a:b\n0::/\nx\n'), [
    { version: 1, controllers: ['memory'], path: '/a:b' },
    { version: 2, controllers: [], path: '/' },
  ]);
  const events = 'low 0\nhigh 0\nmax 7\noom 1\noom_kill 3\noom_group_kill 0\n';
  t.equal(counter(events, 'oom_kill'), 3);
  t.equal(counter(events, 'oom_ki'), undefined);
  t.equal(counter('oom_kill_disable 0\nunder_oom 0\n', 'oom_kill'), undefined);
  t.equal(whole('123\n'), 123);
  t.equal(whole('max\n'), undefined);
});
