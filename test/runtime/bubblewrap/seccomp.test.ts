import { readFileSync } from 'node:fs';

import fc from 'fast-check';
import t from 'tap';

import { assemble } from '../../../src/runtime/drivers/bubblewrap/bpf.ts';
import { seccompProgram } from '../../../src/runtime/drivers/bubblewrap/seccomp.ts';
import {
  refusedSyscall,
  refusedSyscalls,
  type SandboxArch,
  specialSyscalls,
} from '../../../src/runtime/drivers/bubblewrap/syscalls.ts';
import { judge } from './bpf-machine.ts';

const ARCHES: readonly SandboxArch[] = ['x64', 'arm64'];
const AUDIT = { x64: 0xc000003e, arm64: 0xc00000b7 };
const I386 = 0x40000003;
const ARM = 0x40000028;
const HIGH = 0xdead_beef_0000_0000n;

/** Calls that ordinary programs make all the time: read, write, openat, execve, futex, mmap, seccomp, pidfd_open. */
const ORDINARY = {
  x64: [0, 1, 257, 59, 202, 9, 317, 434, 57, 58, 61, 62],
  arm64: [63, 64, 56, 221, 98, 222, 277, 434, 93, 129],
};

for (const arch of ARCHES) {
  const program = seccompProgram(arch);
  const special = specialSyscalls(arch);
  const call = (number: number, ...args: (number | bigint)[]) =>
    judge(program, { arch: AUDIT[arch], number, args: args.map(BigInt) });

  t.test(`${arch}: what is on the list is EPERM, with any arguments`, async (t) => {
    for (const number of refusedSyscalls(arch)) t.equal(call(number, 1, 2, 3), 'EPERM', `${number}`);
    for (const name of ['ptrace', 'mount', 'unshare', 'setns', 'bpf', 'keyctl', 'io_uring_setup', 'userfaultfd'])
      t.equal(call(refusedSyscall(arch, name) ?? -1), 'EPERM', name);
    t.equal(new Set(refusedSyscalls(arch)).size, refusedSyscalls(arch).length, 'each once');
  });

  t.test(`${arch}: all else is allowed`, async (t) => {
    for (const number of ORDINARY[arch]) t.equal(call(number), 'allow', `${number}`);
    const looked = new Set([...refusedSyscalls(arch), ...Object.values(special)]);
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 0x3fffffff }),
        fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        (number, arg) => {
          if (!looked.has(number)) t.equal(call(number, arg, arg, arg), 'allow');
        },
      ),
      { numRuns: 300 },
    );
  });

  t.test(`${arch}: another architecture ends the process`, async (t) => {
    for (const other of [I386, ARM, 0, 0xffffffff, AUDIT[arch === 'x64' ? 'arm64' : 'x64']])
      for (const number of [0, 1, 59, 26])
        t.equal(judge(program, { arch: other, number }), 'kill', `${other.toString(16)} ${number}`);
  });

  t.test(`${arch}: sockets are of unix, the internet and route netlink only`, async (t) => {
    for (const number of [special.socket, special.socketpair]) {
      for (let family = 0; family < 64; family += 1) {
        const expected = [1, 2, 10, 16].includes(family) ? 'allow' : 'EPERM';
        t.equal(call(number, family, 1, 0), expected, `family ${family}`);
        // The kernel takes an int: what is above it must not make a difference.
        t.equal(call(number, HIGH | BigInt(family), 1, 0), expected, `family ${family} with high bits`);
      }
      for (const protocol of [0, 1, 6, 17]) t.equal(call(number, 2, 1, protocol), 'allow', `protocol ${protocol}`);
      for (const protocol of [33, 115, 132, 136, 255, 256, 262])
        t.equal(call(number, 2, 1, protocol), 'EPERM', `protocol ${protocol}`);
      for (let protocol = 1; protocol < 32; protocol += 1)
        t.equal(call(number, 16, 3, protocol), 'EPERM', `netlink ${protocol}`);
      t.equal(call(number, 0xffffffff, 1, 0), 'EPERM');
    }
  });

  t.test(`${arch}: nothing is put into a terminal`, async (t) => {
    for (const request of [0x5412, 0x541c, 0x5423]) {
      t.equal(call(special.ioctl, 0, request), 'EPERM');
      t.equal(call(special.ioctl, 0, HIGH | BigInt(request)), 'EPERM', 'with high bits');
    }
    for (const request of [0x5401, 0x5413, 0x541b]) t.equal(call(special.ioctl, 0, request), 'allow');
  });

  t.test(`${arch}: clone makes processes and threads, no namespaces`, async (t) => {
    const THREAD = 0x003d0f00;
    t.equal(call(special.clone, 17), 'allow', 'fork');
    t.equal(call(special.clone, THREAD), 'allow', 'a thread');
    for (const flag of [0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000]) {
      t.equal(call(special.clone, flag | 17), 'EPERM', flag.toString(16));
      t.equal(call(special.clone, HIGH | BigInt(flag)), 'EPERM', `${flag.toString(16)} with high bits`);
    }
    t.equal(call(special.clone3, 0, 88), 'ENOSYS', 'clone3 does not exist');
  });

  t.test(`${arch}: the personality can be asked for, not changed`, async (t) => {
    t.equal(call(special.personality, 0xffffffff), 'allow');
    t.equal(call(special.personality, 0), 'allow');
    for (const persona of [8, 0x0040000, 0x0100000, 0x0400000]) t.equal(call(special.personality, persona), 'EPERM');
  });
}

t.test('x32 calls end the process: their numbers would go past the list', async (t) => {
  const program = seccompProgram('x64');
  for (const number of [0x40000000, 0x40000000 + 41, 0x40000000 + 521, 0x7fffffff, 0xffffffff])
    t.equal(judge(program, { arch: AUDIT.x64, number }), 'kill', number.toString(16));
});

const HEADERS = {
  x64: ['/usr/include/x86_64-linux-gnu/asm/unistd_64.h', '/usr/include/asm/unistd_64.h'],
  arm64: ['/usr/include/asm-generic/unistd.h'],
};

for (const arch of ARCHES) {
  const header = HEADERS[arch].map(read).find((text) => text !== undefined);
  t.test(`${arch}: numbers are those of the kernel's headers`, { skip: header === undefined }, async (t) => {
    const numbers = new Map<string, number>();
    for (const [, name = '', number] of header?.matchAll(/^#define __NR(?:3264)?_(\w+) (\d+)$/gm) ?? [])
      numbers.set(name.replace(/^_/, ''), Number(number));
    t.ok(numbers.size > 250);
    for (const [name, number] of Object.entries(specialSyscalls(arch))) t.equal(number, numbers.get(name), name);
    for (const [name, number] of numbers) {
      const refused = refusedSyscall(arch, name);
      if (refused !== undefined) t.equal(refused, number, name);
    }
  });
}

t.test('a program that cannot be said is refused', async (t) => {
  const far = Array.from({ length: 300 }, () => ({ op: 'load', offset: 0 }) as const);
  const jump = { op: 'if-equal', value: 1, to: 'end' } as const;
  const end = [
    { op: 'label', name: 'end' },
    { op: 'return', value: 0 },
  ] as const;
  t.throws(() => assemble([jump, ...far, ...end]), /instructions away/);
  t.throws(() => assemble([...end, jump]), /no end below/);
  t.throws(() => assemble([]), /0 instructions/);
});

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // Headers need not be installed.
    return undefined;
  }
}
