import { readFileSync } from 'node:fs';
import { uptime } from 'node:os';
import t from 'tap';

import { isolationTest } from '../support/isolation.ts';
import { attacks } from './support/attack.ts';
import { compiled, python } from './support/python.ts';

isolationTest(t);

/** What each of these calls must be answered; one that is not there at all is as good as refused. */
const refused = (...names: string[]) => names.map((name) => new RegExp(`^${name}: (EPERM|ENOSYS)$`, 'm'));
const GOT = /^\w[^:\n]*: GOT/m;

attacks(t, [
  {
    name: 'mounts: by every call there is',
    command: python(`
sc('mount', b'none', b'/tmp', b'tmpfs', 0, None)
sc('mount', b'/', b'/tmp', None, 4096, None, label='bind')
sc('mount', None, b'/usr', None, 32 | 4096, None, label='remount')
sc('umount2', b'/workspace', 2)
sc('pivot_root', b'/workspace', b'/workspace')
sc('chroot', b'/workspace')
sc('open_tree', -100, b'/', 1)
sc('move_mount', -100, b'/tmp', -100, b'/workspace', 0)
sc('fsopen', b'tmpfs', 0)
sc('fsconfig', 0, 0, None, None, 0)
sc('fsmount', 0, 0, 0)
sc('mount_setattr', -100, b'/usr', 0, None, 0)
sc('swapon', b'/dev/zero', 0)
`),
    ends: 'ok',
    says: refused(
      'mount',
      'bind',
      'remount',
      'umount2',
      'pivot_root',
      'chroot',
      'open_tree',
      'move_mount',
      'fsopen',
      'fsconfig',
      'fsmount',
      'mount_setattr',
      'swapon',
    ),
    never: GOT,
  },
  {
    name: 'namespaces: unshare, setns, clone and clone3 with every flag',
    command: python(`
FLAGS = dict(NS=0x20000, CGROUP=0x2000000, UTS=0x4000000, IPC=0x8000000, USER=0x10000000, PID=0x20000000, NET=0x40000000)
for name, flag in FLAGS.items():
    sc('unshare', flag, label='unshare ' + name)
    sc('clone', flag | signal.SIGCHLD, 0, 0, 0, 0, label='clone ' + name)
    sc('clone', (1 << 40) | flag | signal.SIGCHLD, 0, 0, 0, 0, label='clone high ' + name)
sc('unshare', 0x80, label='unshare TIME')
args = (ctypes.c_uint64 * 11)(0x10000000, 0, 0, 0, signal.SIGCHLD)
sc('clone3', args, 88)
for name in os.listdir('/proc/self/ns'):
    fd = os.open('/proc/self/ns/' + name, os.O_RDONLY)
    sc('setns', fd, 0, label='setns ' + name)
`),
    ends: 'ok',
    says: [
      ...['NS', 'CGROUP', 'UTS', 'IPC', 'USER', 'PID', 'NET'].flatMap((name) =>
        refused(`unshare ${name}`, `clone ${name}`, `clone high ${name}`),
      ),
      ...refused('unshare TIME', 'clone3', 'setns mnt', 'setns user', 'setns net'),
    ],
    never: GOT,
  },
  {
    name: 'the large interfaces of the kernel: bpf, perf, userfaultfd, io_uring, fanotify',
    command: python(`
buf = (ctypes.c_char * 256)()
sc('bpf', 0, buf, 128)
sc('bpf', 5, buf, 128, label='bpf load')
sc('perf_event_open', buf, 0, -1, -1, 0)
sc('userfaultfd', 1)
sc('userfaultfd', 0, label='userfaultfd kernel')
sc('io_uring_setup', 8, buf)
sc('io_uring_enter', 3, 1, 1, 0, None, 0)
sc('fanotify_init', 0, 0)
sc('memfd_secret', 0)
tried('dev userfaultfd', lambda: os.open('/dev/userfaultfd', os.O_RDWR))
`),
    ends: 'ok',
    says: [
      ...refused(
        'bpf',
        'bpf load',
        'perf_event_open',
        'userfaultfd',
        'userfaultfd kernel',
        'io_uring_setup',
        'io_uring_enter',
      ),
      ...refused('fanotify_init', 'memfd_secret'),
      /dev userfaultfd: ENOENT/,
    ],
    never: GOT,
  },
  {
    name: 'what is counted for the whole machine is not used up: contexts of asynchronous I/O',
    command: python(`
sc('io_setup', 60000, (ctypes.c_ulong * 1)(0))
`),
    ends: 'ok',
    says: refused('io_setup'),
    never: GOT,
    untouched: (t) => void t.ok(Number(readFileSync('/proc/sys/fs/aio-nr', 'utf8')) < 60_000),
  },
  {
    name: 'keys of the kernel',
    command: python(`
sc('keyctl', 0, -3, 1)
sc('keyctl', 1, b'mine', label='keyctl join')
sc('add_key', b'user', b'name', b'value', 5, -3)
sc('request_key', b'user', b'name', None, -3)
`),
    ends: 'ok',
    says: refused('keyctl', 'keyctl join', 'add_key', 'request_key'),
    never: GOT,
  },
  {
    name: 'modules, kexec, reboot, accounting, the log of the kernel',
    command: python(`
sc('init_module', b'', 0, b'')
sc('finit_module', 0, b'', 0)
sc('delete_module', b'ext4', 0)
sc('kexec_load', 0, 0, None, 0)
sc('reboot', 0xfee1dead, 672274793, 0x1234567)
sc('acct', b'/workspace/acct')
sc('quotactl', 0, None, 0, None)
sc('syslog', 3, (ctypes.c_char * 100)(), 100)
sc('syslog', 5, None, 0, label='syslog clear')
`),
    ends: 'ok',
    says: refused(
      'init_module',
      'finit_module',
      'delete_module',
      'kexec_load',
      'reboot',
      'acct',
      'quotactl',
      'syslog',
      'syslog clear',
    ),
    never: GOT,
    untouched: (t) => void t.ok(uptime() > 0),
  },
  {
    name: 'the clock and the name of the machine',
    command: python(`
now = (ctypes.c_long * 2)(1000000000, 0)
sc('settimeofday', now, None)
sc('clock_settime', 0, now)
sc('adjtimex', (ctypes.c_char * 256)(1))
sc('clock_adjtime', 0, (ctypes.c_char * 256)(1))
sc('sethostname', b'mine', 4)
tried('proc hostname', lambda: put('/proc/sys/kernel/hostname', 'mine'))
`),
    ends: 'ok',
    says: [
      ...refused('settimeofday', 'clock_settime', 'adjtimex', 'clock_adjtime', 'sethostname'),
      /proc hostname: (EROFS|EACCES|EPERM)/,
    ],
    never: GOT,
    untouched: (t) => void t.ok(Date.now() > 1_700_000_000_000),
  },
  {
    name: 'files by their handle go past no mount',
    command: python(`
handle = (ctypes.c_uint32 * 34)(128)
mount_id = (ctypes.c_int * 1)()
sc('name_to_handle_at', -100, b'/workspace', handle, mount_id, 0)
handle = struct.pack('IIII', 8, 1, 2, 0) + bytes(100)
fd = os.open('/', os.O_RDONLY)
sc('open_by_handle_at', fd, ctypes.create_string_buffer(handle), 0)
`),
    ends: 'ok',
    says: refused('name_to_handle_at', 'open_by_handle_at'),
    never: GOT,
  },
  {
    name: 'other processes: ptrace, their memory, their descriptors',
    command: python(`
child = os.fork()
if child == 0:
    time.sleep(10)
    os._exit(0)
for pid in (1, os.getppid(), child):
    sc('ptrace', 16, pid, 0, 0, label=f'attach {pid == 1}')
    sc('ptrace', 0x4206, pid, 0, 0, label='seize')
    buf = (ctypes.c_char * 64)()
    iov = (ctypes.c_uint64 * 2)(ctypes.addressof(buf), 64)
    sc('process_vm_readv', pid, iov, 1, iov, 1, 0)
    sc('process_vm_writev', pid, iov, 1, iov, 1, 0)
    sc('kcmp', pid, os.getpid(), 0, 0, 0)
sc('ptrace', 0, 0, 0, 0, label='traceme')
sc('pidfd_getfd', 0, 0, 0)
os.kill(child, 9)
`),
    ends: 'ok',
    says: refused(
      'attach True',
      'attach False',
      'seize',
      'process_vm_readv',
      'process_vm_writev',
      'kcmp',
      'traceme',
      'pidfd_getfd',
    ),
    never: GOT,
  },
  {
    name: 'devices made with mknod, by every kind',
    command: python(`
for kind, name in ((stat.S_IFBLK, 'block'), (stat.S_IFCHR, 'char')):
    for place in ('/workspace', '/tmp', '/dev/shm', '/dev'):
        tried(f'{name} {place}', lambda: os.mknod(place + '/node', kind | 0o666, os.makedev(1, 1)))
`),
    ends: 'ok',
    says: [/block \/workspace: EPERM/, /char \/tmp: EPERM/, /char \/dev\/shm: EPERM/, /block \/dev: (EPERM|EROFS)/],
    never: GOT,
  },
  {
    name: 'terminals: characters are put into none',
    command: python(`
tried('tty', lambda: os.open('/dev/tty', os.O_RDWR))
master, slave = os.openpty()
for name, code in (('TIOCSTI', 0x5412), ('TIOCLINUX', 0x541c), ('TIOCSETD', 0x5423)):
    tried(name, lambda: fcntl.ioctl(slave, code, struct.pack('i', 1)))
    got = libc.ioctl(slave, ctypes.c_ulong((1 << 32) | code), ctypes.byref(ctypes.c_int(1)))
    say(name + ' high bits', word(ctypes.get_errno()) if got == -1 else 'GOT')
`),
    ends: 'ok',
    says: [/tty: ENXIO/, ...refused('TIOCSTI', 'TIOCSTI high bits', 'TIOCLINUX', 'TIOCLINUX high bits', 'TIOCSETD')],
    never: GOT,
  },
  {
    name: 'users, groups and capabilities: none is gained',
    command: python(`
sc('setuid', 0); sc('setgid', 0); sc('setgroups', 1, (ctypes.c_uint32 * 1)(0))
for version in (0x20080522,):
    header = (ctypes.c_uint32 * 2)(version, 0)
    sc('capset', header, (ctypes.c_uint32 * 6)(0xffffffff, 0xffffffff, 0, 0xffffffff, 0xffffffff, 0))
tried('chown', lambda: (open('f', 'w').close(), os.chown('f', 0, 0)))
tried('uid_map', lambda: put('/proc/self/uid_map', '0 0 1'))
tried('setgroups file', lambda: put('/proc/self/setgroups', 'allow'))
for line in open('/proc/self/status'):
    if line.startswith(('Uid', 'Gid', 'Groups', 'CapEff', 'NoNewPrivs')): print(' '.join(line.split()))
`),
    ends: 'ok',
    says: [
      /^setuid: (EPERM|EINVAL)$/m,
      /^setgid: (EPERM|EINVAL)$/m,
      ...refused('setgroups', 'capset'),
      /chown: (EPERM|EINVAL)/,
      /uid_map: (EPERM|EACCES|EROFS)/,
      /Uid: 1000 1000 1000 1000/,
      /Gid: 1000 1000 1000 1000/,
      /CapEff: 0{16}/,
      /NoNewPrivs: 1/,
    ],
    never: GOT,
  },
  {
    name: 'copies of programs that become another user do not',
    command: `for p in su sudo mount umount passwd newgrp chsh ping; do f=/usr/bin/$p; [ -u $f ] && echo found $p && $f --version >/dev/null 2>&1; done
cp /bin/sh ./root-sh && chmod 6777 ./root-sh && ls -l root-sh && ./root-sh -p -c 'id -u'
echo x | su -c id root 2>&1 | head -c 300; echo "su: $?"; /usr/bin/sudo -n id 2>&1 | head -c 300; exit 0`,
    ends: 'ok',
    says: /^1000$/m,
    never: /uid=0|^0$/m,
  },
  {
    name: 'a call by the numbers of another architecture ends the process',
    command: `[ "$(uname -m)" = x86_64 ] || { echo other machine; exit 0; }
${compiled(
  `
#include <stdio.h>
#include <unistd.h>
#include <sys/syscall.h>
int main(int argc, char **argv) {
  long got;
  if (argc > 1) { got = syscall(0x40000000L | SYS_getpid); printf("x32 GOT %ld\\n", got); return 0; }
  /* mount() of the 32 bit calls */
  __asm__ volatile("int $0x80" : "=a"(got) : "a"(20) : "memory");
  printf("i386 GOT %ld\\n", got);
  return 0;
}`,
  `./attack; echo "i386: $?"; ./attack x; echo "x32: $?"; exit 0`,
)}`,
    ends: 'ok',
    says: [/i386: (159|139)|other machine/, /x32: (159|139)|other machine/],
    never: /GOT/,
    after: ['echo still here', /still here/],
  },
  {
    name: 'seccomp of its own loosens nothing, and address randomisation stays',
    command: python(`
libc.prctl(38, 1, 0, 0, 0)
program = struct.pack('HBBI', 6, 0, 0, 0x7fff0000)
buf = ctypes.create_string_buffer(program)
fprog = ctypes.create_string_buffer(struct.pack('HxxxxxxQ', 1, ctypes.addressof(buf)))
got = sc('seccomp', 1, 0, fprog, label='allow all')
sc('mount', b'none', b'/tmp', b'tmpfs', 0, None)
sc('personality', 0x0040000, label='no randomisation')
sc('personality', 0x0400000, label='read implies exec')
`),
    ends: 'ok',
    says: refused('mount', 'no randomisation', 'read implies exec'),
    never: /(mount|randomisation|exec): GOT/,
  },
  {
    name: 'priorities: none above what it was given',
    command: python(`
tried('nice', lambda: os.nice(-10))
sc('setpriority', 0, 0, -20)
sc('sched_setscheduler', 0, 1, ctypes.create_string_buffer(struct.pack('i', 50)), label='realtime')
sc('ioprio_set', 1, 0, (1 << 13) | 0, label='io realtime')
`),
    ends: 'ok',
    says: [/^nice: (EPERM|EACCES)/m, /^setpriority: (EPERM|EACCES)/m, ...refused('realtime', 'io realtime')],
    never: GOT,
  },
]);
