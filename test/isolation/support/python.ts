/** Numbers of system calls that Python has no name for, on x64 and arm64. */
const NUMBERS: Readonly<Record<string, readonly [x64: number, arm64: number]>> = {
  ptrace: [101, 117],
  process_vm_readv: [310, 270],
  process_vm_writev: [311, 271],
  process_madvise: [440, 440],
  pidfd_open: [434, 434],
  pidfd_getfd: [438, 438],
  kcmp: [312, 272],
  mount: [165, 40],
  umount2: [166, 39],
  pivot_root: [155, 41],
  chroot: [161, 51],
  open_tree: [428, 428],
  move_mount: [429, 429],
  fsopen: [430, 430],
  fsconfig: [431, 431],
  fsmount: [432, 432],
  mount_setattr: [442, 442],
  swapon: [167, 224],
  unshare: [272, 97],
  setns: [308, 268],
  clone: [56, 220],
  clone3: [435, 435],
  bpf: [321, 280],
  perf_event_open: [298, 241],
  userfaultfd: [323, 282],
  io_uring_setup: [425, 425],
  io_uring_enter: [426, 426],
  fanotify_init: [300, 262],
  io_setup: [206, 0],
  keyctl: [250, 219],
  add_key: [248, 217],
  request_key: [249, 218],
  init_module: [175, 105],
  finit_module: [313, 273],
  delete_module: [176, 106],
  kexec_load: [246, 104],
  reboot: [169, 142],
  acct: [163, 89],
  quotactl: [179, 60],
  syslog: [103, 116],
  sethostname: [170, 161],
  open_by_handle_at: [304, 265],
  name_to_handle_at: [303, 264],
  settimeofday: [164, 170],
  clock_settime: [227, 112],
  clock_adjtime: [305, 266],
  adjtimex: [159, 171],
  mknodat: [259, 33],
  personality: [135, 92],
  setuid: [105, 146],
  setgid: [106, 144],
  setgroups: [116, 159],
  capset: [126, 91],
  setpriority: [141, 140],
  sched_setscheduler: [144, 119],
  ioprio_set: [251, 30],
  memfd_create: [319, 279],
  memfd_secret: [447, 447],
  migrate_pages: [256, 238],
  seccomp: [317, 277],
  landlock_create_ruleset: [444, 444],
  socket: [41, 198],
};

/**
 * Before every attack in Python: `sc(name, …)` makes a system call and says what came of it, as `name: EPERM` or `name: GOT 3`;
 * `tried(what, work)` does so for a function.
 */
const PRELUDE = `
import ctypes, errno, os, sys, mmap, signal, socket, struct, time, resource, fcntl, stat
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
ARM = os.uname().machine == 'aarch64'
N = {${Object.entries(NUMBERS)
  .map(([name, numbers]) => `'${name}':(${numbers.join(',')})`)
  .join(',')}}
def say(what, got):
    print(f'{what}: {got}', flush=True)
def word(error):
    return errno.errorcode.get(error, str(error))
def sc(name, *args, label=None):
    nr = N[name][1 if ARM else 0]
    ctypes.set_errno(0)
    got = libc.syscall(ctypes.c_long(nr), *[a if isinstance(a, (bytes, ctypes.Array, ctypes._SimpleCData)) or a is None else ctypes.c_long(a) for a in args])
    if name in ('clone', 'clone3') and got == 0: os._exit(0)
    say(label or name, word(ctypes.get_errno()) if got == -1 else f'GOT {got}')
    return got
def tried(what, work):
    try: got = work()
    except OSError as e: say(what, word(e.errno))
    except Exception as e: say(what, type(e).__name__)
    else: say(what, f'GOT {got!r}')
def put(path, text):
    fd = os.open(path, os.O_WRONLY)
    try: return os.write(fd, text.encode())
    finally: os.close(fd)
`;

/** A command that runs a program after the prelude. It is in no file and on no command line of Python. */
export function python(program: string): string {
  return `exec /usr/bin/python3 - <<'END_OF_ATTACK'\n${PRELUDE}\n${program.trim()}\nEND_OF_ATTACK`;
}

/** Compiles a C program in the working directory and runs it. */
export function compiled(program: string, run = './attack'): string {
  return `cat > attack.c <<'END_OF_ATTACK'\n${program.trim()}\nEND_OF_ATTACK\ngcc -O1 -pthread -o attack attack.c || exit 99\n${run}`;
}
