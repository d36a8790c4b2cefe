import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';

import { isolationTest } from '../support/isolation.ts';
import { attacks } from './support/attack.ts';
import { python } from './support/python.ts';

isolationTest(t);

const HERE = new URL('.', import.meta.url).pathname;
const dir = mkdtempSync(join(tmpdir(), 'castellan-attacked-'));
const TREASURE = join(dir, 'treasure');
writeFileSync(TREASURE, 'treasure of the machine', { mode: 0o666 });
t.teardown(() => rmSync(dir, { recursive: true, force: true }));

const intact = (t: { equal(found: unknown, wanted: unknown): unknown }) => {
  t.equal(readFileSync(TREASURE, 'utf8'), 'treasure of the machine');
  t.equal(existsSync('/usr/bin/env') && statSync('/').isDirectory(), true);
};

attacks(t, [
  {
    name: 'files of the machine, by every road',
    command: `for p in ${TREASURE} /proc/1/root${TREASURE} /proc/1/cwd/../..${TREASURE} /proc/self/root${TREASURE} /../..${TREASURE} ${HERE}; do cat $p && echo GOT; done
ln -s / r; ln -s r/proc/1/root r2; ln -s ../../../../../..${TREASURE} r3; cat r${TREASURE} r2${TREASURE} r3 && echo GOT
ls -d ${dir} ${HERE} /work /mnt /srv /boot /media 2>/dev/null && echo GOT; exit 0`,
    ends: 'ok',
    says: /No such file/,
    never: /GOT|treasure of/,
    untouched: intact,
  },
  {
    name: 'passwords, keys and sockets of the machine',
    command: `for p in /etc/shadow /etc/gshadow /etc/sudoers /etc/ssh /root /home/* /var/run/docker.sock /run/docker.sock /run/containerd /run/dbus /run/systemd /var/lib /etc/machine-id /run/secrets; do [ -e $p ] && echo GOT $p; done; ls -A /run /etc; exit 0`,
    ends: 'ok',
    never: /GOT|egress/,
  },
  {
    name: 'hard links to what others own, and links of links without end',
    command: `ln /usr/bin/passwd hard && echo GOT; ln /etc/passwd hard2 && echo GOT; ln -s b a; ln -s a b; cat a; mkdir d; ln -s ../d d/d; ls d/d/d/d/d/d > /dev/null && echo looked; exit 0`,
    ends: 'ok',
    says: [/Too many levels|ELOOP/, /looked/],
    never: /GOT/,
  },
  {
    name: 'rm -rf / removes only what is its own',
    command:
      'echo x > mine; rm -rf --no-preserve-root / 2>&1 | tail -1; ls -d /usr /etc /bin; ls -A /workspace; exit 0',
    ends: 'ok',
    says: /\/usr/,
    untouched: intact,
    after: ['ls -A /workspace | wc -l; echo still here', /^0\nstill here\n$/],
  },
  {
    name: 'the working directory swapped for a link between commands',
    before: `rmdir /workspace 2>/dev/null; mv /workspace /tmp/w 2>/dev/null; ln -s / link; mkdir inner; echo mine > inner/f`,
    command: `rm -rf inner; ln -s / inner; ls -ld /workspace; cat inner${TREASURE} && echo GOT; cd /workspace && pwd -P; exit 0`,
    ends: 'ok',
    says: /^\/workspace$/m,
    never: /GOT|treasure of/,
    untouched: intact,
    after: ['touch inner/got && echo GOT; pwd -P', /^\/workspace\n$/],
  },
  {
    name: 'a tree that is deep, has names of every byte and directories without permissions is taken away',
    command: python(`
os.chdir('/workspace')
for n in range(1500):
    os.mkdir('d' * 200); os.chdir('d' * 200)
os.chdir('/workspace')
for byte in range(1, 256):
    if byte != 47:
        os.close(os.open(b'n' + bytes([byte]) + b'\\n-rf', os.O_CREAT | os.O_WRONLY))
os.mkdir('closed'); os.mkdir('closed/in'); os.chmod('closed', 0)
os.mkfifo('fifo'); s = socket.socket(socket.AF_UNIX); s.bind('socket')
say('built', len(os.listdir('/workspace')))
`),
    ends: 'ok',
    says: /built: 25\d/,
  },
  {
    name: 'attributes and lists of access stay in the working directory',
    command: python(`
open('f', 'w').close()
tried('user', lambda: os.setxattr('f', 'user.x', b'1'))
tried('security', lambda: os.setxattr('f', 'security.capability', struct.pack('<IIIII', 0x02000001, 0xffffffff, 0, 0, 0)))
tried('trusted', lambda: os.setxattr('f', 'trusted.x', b'1'))
`),
    ends: 'ok',
    says: [/^security: (EPERM|EOPNOTSUPP)/m, /^trusted: (EPERM|EOPNOTSUPP)/m],
    never: /(security|trusted): GOT/,
  },
  {
    name: 'devices: only the harmless ones are there',
    command: `ls -A /dev | tr '\\n' ' '; for d in mem kmem kmsg port sda vda loop0 loop-control kvm fuse net/tun vhost-vsock vsock mapper/control rtc0 input snd dri userfaultfd autofs; do [ -e /dev/$d ] && echo GOT $d; done; echo x > /dev/null && head -c 4 /dev/urandom | wc -c; touch /dev/new && echo GOT; exit 0`,
    ends: 'ok',
    says: [/null/, / 4$/m],
    never: /GOT/,
  },
  {
    name: '/sys is not there, and what /proc tells of the machine cannot be written',
    command: `ls /sys 2>/dev/null | head -3; for f in /proc/sys/kernel/panic /proc/sys/vm/overcommit_memory /proc/sys/net/ipv4/ip_forward /proc/sys/fs/file-max /proc/sysrq-trigger /proc/sys/kernel/ns_last_pid; do (echo 1 > $f) 2>/dev/null && echo GOT $f; done; head -c 100 /proc/kcore 2>/dev/null | wc -c; head -c 10 /proc/kmsg 2>/dev/null | wc -c; exit 0`,
    ends: 'ok',
    never: /GOT|kernel\n|devices/,
  },
  {
    name: 'addresses of the kernel are hidden',
    command: `awk '$1 !~ /^0+$/ { n++ } END { print "addresses", n+0 }' /proc/kallsyms; exit 0`,
    ends: 'ok',
    says: /addresses 0/,
  },
  {
    name: 'a file that grows while it is deleted, and a thousand links to one',
    command: `n=0; echo x > f; while [ $n -lt 1000 ]; do ln f l$n 2>/dev/null || break; n=$((n+1)); done; echo "links $n"; exit 0`,
    ends: ['ok', 'disk_limit'],
    says: /links \d+/,
  },
  {
    name: 'nothing of it is seen under the state directory of the service by others',
    command: 'echo mine > f; umask 0; chmod 777 /workspace; exit 0',
    ends: 'ok',
    untouched: (t) =>
      void t.notOk(
        readdirSync(tmpdir()).some((name) => name.startsWith('castellan-') && existsSync(join(tmpdir(), name, 'f'))),
      ),
  },
]);
