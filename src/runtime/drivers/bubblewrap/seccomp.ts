import { assemble, type Instruction } from './bpf.ts';
import { refusedSyscalls, type SandboxArch, specialSyscalls } from './syscalls.ts';

/** linux/audit.h. */
const AUDIT_ARCH = { x64: 0xc000003e, arm64: 0xc00000b7 } as const;
/** Bit of the numbers of the x32 ABI, which would go past a list of x64 numbers. */
const X32_BIT = 0x40000000;

/** struct seccomp_data; of an argument its low half: what the kernel takes as int it takes from there. */
const NUMBER = 0;
const ARCH = 4;
const argument = (index: number) => 16 + index * 8;

const KILL_PROCESS = 0x80000000;
const ALLOW = 0x7fff0000;
const ERRNO = 0x00050000;
const EPERM = 1;
const ENOSYS = 38;

/** CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}; the bits of CLONE_NEWTIME are the exit signal in clone(). */
const NEW_NAMESPACES = 0x7e020000;

/** Put words into the terminal, choose a line discipline. */
const TIOCSTI = 0x5412;
const TIOCLINUX = 0x541c;
const TIOCSETD = 0x5423;

const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const AF_NETLINK = 16;
const NETLINK_ROUTE = 0;
/** 0, ICMP, TCP, UDP, ICMPv6: others load further modules of the kernel. */
const INTERNET_PROTOCOLS = [0, 1, 6, 17, 58];

/** PER_LINUX, and asking for the present one; others switch off address randomisation or change what calls mean. */
const PERSONALITIES = [0, 0xffffffff];

/**
 * The seccomp program of everything isolated: a list of what is refused, with EPERM, or ENOSYS where a caller then uses
 * an older call. Another architecture than the machine's own ends the process.
 */
export function seccompProgram(arch: SandboxArch): Buffer {
  const special = specialSyscalls(arch);
  return assemble([
    { op: 'load', offset: ARCH },
    { op: 'if-equal', value: AUDIT_ARCH[arch], to: 'native' },
    { op: 'return', value: KILL_PROCESS },
    { op: 'label', name: 'native' },
    { op: 'load', offset: NUMBER },
    ...(arch === 'x64' ? [{ op: 'if-at-least', value: X32_BIT, to: 'kill' } as const] : []),
    { op: 'if-equal', value: special.socket, to: 'socket' },
    { op: 'if-equal', value: special.socketpair, to: 'socket' },
    { op: 'if-equal', value: special.ioctl, to: 'ioctl' },
    { op: 'if-equal', value: special.clone, to: 'clone' },
    { op: 'if-equal', value: special.clone3, to: 'absent' },
    { op: 'if-equal', value: special.personality, to: 'personality' },
    ...refusedSyscalls(arch).map((value): Instruction => ({ op: 'if-equal', value, to: 'refused' })),
    { op: 'return', value: ALLOW },

    { op: 'label', name: 'socket' },
    { op: 'load', offset: argument(0) },
    { op: 'if-equal', value: AF_UNIX, to: 'allowed' },
    { op: 'if-equal', value: AF_INET, to: 'internet' },
    { op: 'if-equal', value: AF_INET6, to: 'internet' },
    { op: 'if-equal', value: AF_NETLINK, to: 'netlink' },
    { op: 'jump', to: 'refused' },
    { op: 'label', name: 'internet' },
    { op: 'load', offset: argument(2) },
    ...INTERNET_PROTOCOLS.map((value): Instruction => ({ op: 'if-equal', value, to: 'allowed' })),
    { op: 'jump', to: 'refused' },
    { op: 'label', name: 'netlink' },
    { op: 'load', offset: argument(2) },
    { op: 'if-equal', value: NETLINK_ROUTE, to: 'allowed' },
    { op: 'jump', to: 'refused' },

    { op: 'label', name: 'ioctl' },
    { op: 'load', offset: argument(1) },
    ...[TIOCSTI, TIOCLINUX, TIOCSETD].map((value): Instruction => ({ op: 'if-equal', value, to: 'refused' })),
    { op: 'jump', to: 'allowed' },

    { op: 'label', name: 'clone' },
    { op: 'load', offset: argument(0) },
    { op: 'if-any-bit', value: NEW_NAMESPACES, to: 'refused' },
    { op: 'jump', to: 'allowed' },

    { op: 'label', name: 'personality' },
    { op: 'load', offset: argument(0) },
    ...PERSONALITIES.map((value): Instruction => ({ op: 'if-equal', value, to: 'allowed' })),

    { op: 'label', name: 'refused' },
    { op: 'return', value: ERRNO | EPERM },
    // glibc falls back to clone, whose flags can be looked at: those of clone3 are behind a pointer.
    { op: 'label', name: 'absent' },
    { op: 'return', value: ERRNO | ENOSYS },
    { op: 'label', name: 'allowed' },
    { op: 'return', value: ALLOW },
    { op: 'label', name: 'kill' },
    { op: 'return', value: KILL_PROCESS },
  ]);
}
