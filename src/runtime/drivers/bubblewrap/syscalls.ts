export type SandboxArch = 'x64' | 'arm64';

/** What is refused with EPERM whatever its arguments, by name; x64 number, then arm64 where it has one. From asm/unistd_64.h and asm-generic/unistd.h of Linux 6.12. */
const REFUSED: Readonly<Record<string, readonly [x64: number | undefined, arm64?: number]>> = {
  // Other processes, beyond what signals do: also of the supervisor of the same sandbox.
  ptrace: [101, 117],
  process_vm_readv: [310, 270],
  process_vm_writev: [311, 271],
  process_madvise: [440, 440],
  pidfd_getfd: [438, 438],
  kcmp: [312, 272],
  // The tree of mounts.
  mount: [165, 40],
  umount2: [166, 39],
  pivot_root: [155, 41],
  chroot: [161, 51],
  move_mount: [429, 429],
  open_tree: [428, 428],
  open_tree_attr: [467, 467],
  fsopen: [430, 430],
  fsconfig: [431, 431],
  fsmount: [432, 432],
  fspick: [433, 433],
  mount_setattr: [442, 442],
  swapon: [167, 224],
  swapoff: [168, 225],
  // Namespaces; clone is looked at by its flags, clone3 does not exist.
  unshare: [272, 97],
  setns: [308, 268],
  // Much of the kernel behind one call. io_uring makes sockets without socket().
  bpf: [321, 280],
  perf_event_open: [298, 241],
  userfaultfd: [323, 282],
  io_uring_setup: [425, 425],
  io_uring_enter: [426, 426],
  io_uring_register: [427, 427],
  // Contexts of the older interface are counted for the whole machine (fs.aio-max-nr): one sandbox could take all.
  io_setup: [206, 0],
  fanotify_init: [300, 262],
  fanotify_mark: [301, 263],
  memfd_secret: [447, 447],
  // Keys are those of the user, not of a namespace.
  keyctl: [250, 219],
  add_key: [248, 217],
  request_key: [249, 218],
  // The machine.
  init_module: [175, 105],
  finit_module: [313, 273],
  delete_module: [176, 106],
  create_module: [174],
  query_module: [178],
  get_kernel_syms: [177],
  kexec_load: [246, 104],
  kexec_file_load: [320, 294],
  reboot: [169, 142],
  acct: [163, 89],
  quotactl: [179, 60],
  quotactl_fd: [443, 443],
  syslog: [103, 116],
  iopl: [172],
  ioperm: [173],
  modify_ldt: [154],
  vhangup: [153, 58],
  sethostname: [170, 161],
  setdomainname: [171, 162],
  nfsservctl: [180, 42],
  lookup_dcookie: [212, 18],
  uselib: [134],
  sysctl: [156],
  sysfs: [139],
  // Files by handle go past every mount.
  open_by_handle_at: [304, 265],
  name_to_handle_at: [303, 264],
  // The clock is everybody's.
  settimeofday: [164, 170],
  clock_settime: [227, 112],
  clock_adjtime: [305, 266],
  adjtimex: [159, 171],
  // Where memory lies on the machine.
  mbind: [237, 235],
  set_mempolicy: [238, 237],
  set_mempolicy_home_node: [450, 450],
  migrate_pages: [256, 238],
  move_pages: [279, 239],
};

/** What seccomp.ts looks at by arguments, or refuses in another way. */
export interface SpecialSyscalls {
  readonly clone: number;
  readonly clone3: number;
  readonly ioctl: number;
  readonly socket: number;
  readonly socketpair: number;
  readonly personality: number;
}

const SPECIAL: Readonly<Record<SandboxArch, SpecialSyscalls>> = {
  x64: { clone: 56, clone3: 435, ioctl: 16, socket: 41, socketpair: 53, personality: 135 },
  arm64: { clone: 220, clone3: 435, ioctl: 29, socket: 198, socketpair: 199, personality: 92 },
};

export function specialSyscalls(arch: SandboxArch): SpecialSyscalls {
  return SPECIAL[arch];
}

/** Numbers that are refused, ascending. */
export function refusedSyscalls(arch: SandboxArch): readonly number[] {
  return Object.values(REFUSED)
    .map(([x64, arm64]) => (arch === 'x64' ? x64 : arm64))
    .filter((number) => number !== undefined)
    .toSorted((a, b) => a - b);
}

export function refusedSyscall(arch: SandboxArch, name: string): number | undefined {
  const [x64, arm64] = REFUSED[name] ?? [];
  return arch === 'x64' ? x64 : arm64;
}
