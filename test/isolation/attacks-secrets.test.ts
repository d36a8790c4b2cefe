import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import t from 'tap';

import { isolationTest } from '../support/isolation.ts';
import { attacks } from './support/attack.ts';
import { python } from './support/python.ts';

isolationTest(t);

const NONCE = `nonce${process.pid}x${Date.now()}`;
process.env['CASTELLAN_ATTACK_NONCE'] = NONCE;
/** Put together inside, or the search would find itself. */
const SPLIT = `'${NONCE.slice(0, 8)}' + '${NONCE.slice(8)}'`;
const BOOT = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

attacks(t, [
  {
    name: 'the environment of the service is in no file of /proc',
    command: python(`
nonce = (${SPLIT}).encode()
read = 0
for top, dirs, files in os.walk('/proc', followlinks=False):
    if top.count('/') > 5: dirs[:] = []
    dirs[:] = [d for d in dirs if d not in ('fd', 'map_files', 'root', 'cwd')]
    for name in files:
        if name in ('kmsg', 'kcore', 'kpagecount', 'kpageflags', 'kpagecgroup', 'pagemap', 'mem', 'clear_refs'): continue
        try:
            fd = os.open(os.path.join(top, name), os.O_RDONLY | os.O_NONBLOCK)
            try: data = os.read(fd, 1 << 20)
            finally: os.close(fd)
        except OSError: continue
        read += 1
        if nonce in data: say('found', f'GOT {top}/{name}')
say('read', 'many' if read > 100 else f'few {read}')
`),
    ends: 'ok',
    says: /read: many/,
    never: /GOT/,
  },
  {
    name: 'nor in the memory of any process that it sees',
    command: python(`
nonce = (${SPLIT}).encode()
looked = 0
for pid in [p for p in os.listdir('/proc') if p.isdigit() and int(p) != os.getpid()]:
    try:
        maps = open(f'/proc/{pid}/maps').read().splitlines()
        mem = os.open(f'/proc/{pid}/mem', os.O_RDONLY)
    except OSError: continue
    for line in maps:
        low, high = (int(x, 16) for x in line.split()[0].split('-'))
        if high - low > 1 << 24 or 'r' not in line.split()[1]: continue
        try: data = os.pread(mem, high - low, low)
        except (OSError, OverflowError): continue
        looked += 1
        # The shell has this very program on its stack, in two halves.
        if nonce in data: say('found', f'GOT {pid} {line}')
say('looked', looked)
`),
    ends: 'ok',
    says: /looked: \d+/,
    never: /GOT/,
  },
  {
    name: 'what the kernel says of processes shows no path and no program of the service',
    command: `cat /proc/*/cmdline /proc/*/comm /proc/*/environ 2>/dev/null | tr '\\0' '\\n' | sort -u; cat /proc/self/mountinfo; exit 0`,
    ends: 'ok',
    says: /\/workspace/,
    never: new RegExp(`bwrap|setpriv|prlimit|${process.cwd()}|\\bnode\\b`),
  },
  {
    name: 'the machine is not named',
    command: `cat /etc/hostname /etc/hosts /proc/sys/kernel/hostname; uname -n; cat /etc/resolv.conf; cat /etc/machine-id 2>/dev/null; exit 0`,
    ends: 'ok',
    never: new RegExp(`\\b${hostname().replaceAll(/[^A-Za-z0-9-]/g, '.')}\\b|nameserver`),
  },
  {
    name: 'descriptors: nothing is open beyond output and an empty input',
    command: python(`
for pid in [p for p in os.listdir('/proc') if p.isdigit()]:
    try: fds = os.listdir(f'/proc/{pid}/fd')
    except OSError: continue
    for fd in fds:
        try: target = os.readlink(f'/proc/{pid}/fd/{fd}')
        except OSError: continue
        if pid == str(os.getpid()) and (target.startswith('/proc') or fd == '0'): continue
        print('fd', 'first' if pid == '1' else 'other', fd, target)
`),
    ends: 'ok',
    says: /fd first 1 /,
    never: /socket:|anon_inode|fd first [3-9]/,
  },
  {
    name: 'its output cannot be read back, and its input is nobody’s',
    command: python(`
for fd in (1, 2):
    tried(f'read {fd}', lambda: os.read(fd, 10))
    tried(f'reopen {fd}', lambda: os.read(os.open(f'/proc/self/fd/{fd}', os.O_RDONLY | os.O_NONBLOCK), 10))
tried('write 0', lambda: os.write(os.open('/dev/stdin', os.O_WRONLY | os.O_NONBLOCK), b'x'))
`),
    ends: 'ok',
    says: [/read 1: EBADF/, /read 2: EBADF/],
  },
  {
    name: 'shared memory, queues and abstract sockets of one are not there for another',
    before: python(`
libc.shmget(0x1234, 4096, 0o1666)
libc.msgget(0x1234, 0o1666)
open('/dev/shm/left', 'w').write('x')
`),
    command: `cat /proc/sysvipc/shm /proc/sysvipc/msg | grep -c 4660; ls -A /dev/shm /dev/mqueue 2>/dev/null | grep -c left; tail -n +2 /proc/net/unix | wc -l; exit 0`,
    ends: 'ok',
    says: /^0\n0\n0\n/,
  },
  {
    name: 'the log of the kernel is closed',
    command: 'dmesg 2>&1 | head -3; cat /dev/kmsg 2>&1 | head -1; ls /var/log 2>/dev/null | head -1; exit 0',
    ends: 'ok',
    says: /not permitted|No such file/,
    never: /Linux version|Command line/,
  },
  {
    name: 'boot and machine ids are those of the kernel at most',
    command: 'cat /proc/sys/kernel/random/boot_id; cat /sys/class/dmi/id/product_uuid 2>&1; exit 0',
    ends: 'ok',
    says: new RegExp(`${BOOT}|denied|No such file`),
  },
]);
