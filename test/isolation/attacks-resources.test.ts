import { statfsSync } from 'node:fs';
import { freemem } from 'node:os';
import t from 'tap';

import { isolationTest } from '../support/isolation.ts';
import { attacks, MIB } from './support/attack.ts';
import { compiled, python } from './support/python.ts';

isolationTest(t);

/** Touches so many MiB and says so. */
const touch = (mib: number) =>
  `step = 16 * 1024 * 1024
for n in range(${mib} // 16):
    held.append(bytearray(os.urandom(4096)) * (step // 4096))
say('touched', ${mib})`;
const TWO_GIB = 2048;

attacks(t, [
  {
    name: 'a fork bomb is bounded, and the machine goes on',
    command: 'bomb() { bomb | bomb & }; bomb; while :; do :; done',
    timeoutMs: 1500,
    ends: ['timeout', 'failed', 'oom'],
    untouched: (t) => void t.ok(freemem() > 64 * MIB),
  },
  {
    name: 'forking in a circle, each by itself: EAGAIN',
    command: python(`
made = 0
try:
    while made < 5000:
        if os.fork() == 0: time.sleep(20); os._exit(0)
        made += 1
except OSError as e: say('fork', word(e.errno))
say('made', 'few' if made < 64 else f'GOT {made}')
`),
    ends: 'ok',
    says: [/fork: EAGAIN/, /made: few/],
  },
  {
    name: 'ten thousand threads: EAGAIN',
    command: compiled(
      `
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
static void *wait_for_ever(void *none) { pause(); return none; }
int main(void) {
  pthread_attr_t small; pthread_attr_init(&small); pthread_attr_setstacksize(&small, 16384);
  for (int n = 0; n < 10000; n++) {
    pthread_t thread;
    int error = pthread_create(&thread, &small, wait_for_ever, 0);
    if (error) { printf("%s %s\\n", strerror(error), n < 64 ? "few" : "GOT many"); return 0; }
  }
  puts("GOT all");
  return 0;
}`,
    ),
    ends: 'ok',
    says: /temporarily unavailable few/,
  },
  {
    name: '2 GiB of memory in one process',
    command: python(`held = []\n${touch(TWO_GIB)}`),
    ends: 'oom',
    never: /touched/,
  },
  {
    name: '2 GiB spread over processes, each of them small',
    command: python(`
children = []
for _ in range(32):
    pid = os.fork()
    if pid == 0:
        held = []
        step = 1024 * 1024
        for n in range(64): held.append(bytearray(os.urandom(4096)) * (step // 4096))
        time.sleep(0.3)
        os._exit(0)
    children.append(pid)
ends = [os.waitpid(pid, 0)[1] for pid in children]
say('all', 'GOT' if not any(ends) else 'some were killed')
`),
    ends: 'oom',
    never: /all: GOT/,
  },
  {
    name: '2 GiB in shared maps, which a limit on private data does not see',
    command: python(`
held = []
for n in range(${TWO_GIB} // 64):
    part = mmap.mmap(-1, 64 * 1024 * 1024)
    for at in range(0, len(part), 4096): part[at] = 1
    held.append(part)
say('touched', 'GOT')
`),
    ends: 'oom',
    never: /GOT/,
  },
  {
    name: '2 GiB in files of memory that no directory has',
    command: python(`
fd = os.memfd_create('big')
for n in range(${TWO_GIB}): os.write(fd, bytes(1024 * 1024))
say('written', 'GOT')
`),
    // A bound on the size of one file may come first.
    ends: ['oom', 'failed'],
    never: /GOT/,
  },
  {
    name: '2 GiB on their way through sockets over loopback, in the memory of the kernel',
    command: python(`
held = []
sent = 0
def fill(to):
    global sent
    to.setblocking(False)
    try:
        while True: sent += to.send(bytes(65536))
    except OSError: pass
listener = socket.create_server(('127.0.0.1', 0), backlog=400)
for n in range(300):
    out = socket.create_connection(listener.getsockname())
    held.append((out, listener.accept()[0]))
    fill(out)
say('tcp', 'little' if sent < 128 << 20 else f'GOT {sent >> 20}')
`),
    ends: 'ok',
    says: /tcp: little/,
    never: /GOT/,
  },
  {
    name: '/tmp, /dev/shm and /run are sized',
    command: `for d in /tmp /dev/shm /run; do head -c 2G /dev/zero 2>/dev/null > $d/big && echo GOT $d; echo "$d $(( $(wc -c < $d/big 2>/dev/null || echo 0) / 1048576 ))"; rm -f $d/big; done; exit 0`,
    ends: ['ok', 'oom'],
    says: /^\/tmp \d{1,2}$/m,
    never: /GOT/,
  },
  {
    name: 'empty files in /tmp and /dev/shm are no way to the memory of the kernel: they are charged',
    command: python(`
for place in ('/tmp', '/dev/shm'):
    made = 0
    try:
        while made < 300000:
            os.close(os.open(f'{place}/{made}', os.O_CREAT | os.O_WRONLY)); made += 1
    except OSError as e: say(place, word(e.errno))
say('all', 'GOT')
`),
    limits: { memoryBytes: 32 * MIB, diskBytes: 8 * MIB },
    timeoutMs: 20_000,
    ends: 'oom',
    never: /GOT/,
  },
  {
    name: 'System V memory, semaphores and queues stay inside and are counted',
    command: python(`
size = 64 * 1024 * 1024
libc.shmat.restype = ctypes.c_void_p
for n in range(32):
    shm = libc.shmget(0, size, 0o1600)
    if shm < 0: say('shmget', word(ctypes.get_errno())); break
    at = libc.shmat(shm, None, 0)
    if at in (None, 2**64 - 1): say('shmat', word(ctypes.get_errno())); break
    ctypes.memset(at, 1, size)
else: say('shm', 'GOT 2 GiB')
`),
    ends: ['oom', 'failed'],
    never: /GOT/,
  },
  {
    name: 'the disk: one large file',
    command: 'head -c 1G /dev/zero > big; echo "size $(( $(wc -c < big) / 1048576 ))"; exit 1',
    ends: 'disk_limit',
    says: /^size 3\d$/m,
    after: ['rm -f big; echo still here', /still here/],
  },
  {
    name: 'the disk: many files',
    command:
      'n=0; while head -c 1M /dev/zero > f$n; do n=$((n+1)); [ $n -gt 200 ] && echo GOT; done 2>/dev/null; echo "n $n"; exit 1',
    ends: 'disk_limit',
    says: /^n (2\d|3[0-2])$/m,
    never: /GOT/,
    after: ['rm -f f*; echo still here', /still here/],
  },
  {
    name: 'the disk: empty files until no inode is left',
    command: python(`
made = 0
try:
    while made < 100000:
        os.close(os.open(f'e{made}', os.O_CREAT | os.O_WRONLY)); made += 1
except OSError as e: say('inodes', word(e.errno))
say('made', 'few' if made < 20000 else 'GOT many')
sys.exit(1)
`),
    ends: 'disk_limit',
    says: [/inodes: ENOSPC/, /made: few/],
    after: ['rm -rf ./e*[0-4]; find . -name "e*" -delete; echo still here', /still here/],
  },
  {
    name: 'the disk: a file that is deleted and still open',
    command: `exec 3> gone; rm gone; head -c 1G /dev/zero >&3; echo "left $(df --output=avail -B1 . | tail -1)"; exit 1`,
    ends: ['disk_limit', 'failed'],
    says: /No space left|File too large|File size limit/,
    untouched: (t) => void t.ok(statfsSync('/tmp').bavail > 0),
  },
  {
    name: 'the disk: a sparse file of a terabyte is none',
    command:
      'truncate -s 1T sparse && echo GOT || echo refused; dd if=/dev/zero of=hole bs=1 count=1 seek=900G 2>&1 | tail -1; ls -s; exit 0',
    ends: ['ok', 'failed'],
    untouched: (t) => void t.ok(statfsSync('/tmp').bavail > 0),
  },
  {
    name: 'a processor: two spinning processes get no more than one has',
    command: python(`
pids = []
for _ in range(2):
    pid = os.fork()
    if pid == 0:
        end = time.monotonic() + 1.5
        while time.monotonic() < end: pass
        os._exit(0)
    pids.append(pid)
for pid in pids: os.waitpid(pid, 0)
`),
    limits: { cpu: 0.5 },
    ends: 'ok',
    untouched: (t, { usage, durationMs }) =>
      void t.ok((usage.cpuMs ?? 1e9) < durationMs * 0.75, `${usage.cpuMs} ms of ${durationMs}`),
  },
  {
    name: 'limits cannot be raised',
    command: python(`
for name in ('CORE', 'NOFILE', 'MEMLOCK', 'MSGQUEUE', 'NPROC', 'FSIZE'):
    what = getattr(resource, 'RLIMIT_' + name)
    soft, hard = resource.getrlimit(what)
    if hard == resource.RLIM_INFINITY: say(name, 'unlimited'); continue
    try: resource.setrlimit(what, (hard + 1, hard + 1))
    except (OSError, ValueError) as e: say(name, 'refused')
    else: say(name, 'GOT')
`),
    ends: 'ok',
    says: [/CORE: refused/, /NOFILE: refused/, /MEMLOCK: refused/, /MSGQUEUE: refused/, /NPROC: refused/],
    never: /GOT/,
  },
  {
    name: 'descriptors: no more than a thousand, and none of the machine is used up',
    command: python(`
held = []
try:
    while len(held) < 100000: held.append(os.pipe())
except OSError as e: say('pipe', word(e.errno))
say('held', 'few' if len(held) < 1024 else 'GOT many')
`),
    ends: 'ok',
    says: [/pipe: EMFILE/, /held: few/],
  },
  {
    name: 'descriptors in flight in sockets are not free either',
    command: python(`
import array
a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
a.setblocking(False)
sent = 0
fd = os.open('/dev/null', os.O_RDONLY)
try:
    while sent < 100000:
        a.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [fd] * 250))]); sent += 250
except OSError as e: say('sendmsg', word(e.errno))
say('sent', 'few' if sent < 30000 else f'GOT {sent}')
`),
    ends: 'ok',
    says: [/sendmsg: (ETOOMANYREFS|EAGAIN|ENOBUFS)/, /sent: few/],
  },
  {
    name: 'pipes without a reader fill and wait, to the end of the time',
    command:
      'mkfifo p; for n in 1 2 3 4 5; do (head -c 1M /dev/zero > p) & done; sleep 20 < p & cat /dev/zero > p; echo done',
    timeoutMs: 800,
    ends: 'timeout',
  },
  {
    name: 'memory that is locked',
    command: python(`
libc.mlockall(3)
say('mlockall', word(ctypes.get_errno()))
m = mmap.mmap(-1, 16 * 1024 * 1024)
buf = (ctypes.c_char * len(m)).from_buffer(m)
ctypes.set_errno(0)
got = libc.mlock(buf, len(m))
say('mlock', 'GOT' if got == 0 else word(ctypes.get_errno()))
`),
    ends: 'ok',
    says: /mlock: (ENOMEM|EPERM|EAGAIN)/,
    never: /GOT/,
  },
  {
    name: 'a crash dumps nothing',
    command: `ulimit -c unlimited 2>/dev/null && echo GOT; sh -c 'kill -SEGV $$'; ls -A; exit 0`,
    ends: 'ok',
    never: /GOT|^core/m,
  },
]);
