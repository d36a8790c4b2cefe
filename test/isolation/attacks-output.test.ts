import t from 'tap';

import { isolationTest } from '../support/isolation.ts';
import { attacks, MIB } from './support/attack.ts';
import { python } from './support/python.ts';

isolationTest(t);

/** Bytes until the end that a machine may be late. */
const LATE = 16 * MIB;

attacks(t, [
  {
    name: '1 GB on both streams, without a newline',
    command: '(head -c 1G /dev/zero >&2) & head -c 1G /dev/zero; wait; sleep 20',
    ends: 'output_limit',
    untouched: (t, { stdout, stderr }) => {
      t.ok(stdout.bytes + stderr.bytes <= 64 * MIB + LATE, `${stdout.bytes} and ${stderr.bytes} bytes`);
      t.ok(stdout.text.length < 200_000 && stderr.text.length < 200_000, 'little of it is kept');
    },
  },
  {
    name: '1 GB of what is random',
    command: 'head -c 1G /dev/urandom; sleep 20',
    ends: 'output_limit',
    untouched: (t, { stdout }) => void t.ok(stdout.text.isWellFormed() && stdout.text.length < 200_000),
  },
  {
    name: 'a million lines, one write each',
    command: python(`
for n in range(300000): os.write(1, b'x\\n')
`),
    ends: 'ok',
    untouched: (t, { stdout }) => void t.equal(stdout.bytes, 600_000),
  },
  {
    name: 'characters cut in the middle between head, tail and chunks',
    command: python(`
for n in range(20000):
    for byte in 'ü→𝄞'.encode(): os.write(1, bytes([byte]))
`),
    ends: 'ok',
    untouched: (t, { stdout }) => {
      t.equal(stdout.bytes, 20_000 * 9);
      t.ok(stdout.text.isWellFormed());
      t.equal(stdout.text.slice(0, 4), 'ü→𝄞');
      t.equal(stdout.text.slice(-4), 'ü→𝄞');
    },
  },
  {
    name: 'sequences for terminals, carriage returns and NULs are kept as they are',
    command: `printf '\\033]0;title\\007\\033[2J\\r\\000\\b%s' end`,
    ends: 'ok',
    untouched: (t, { stdout }) => void t.equal(stdout.text, '\u001b]0;title\u0007\u001b[2J\r\u0000\bend'),
  },
  {
    name: 'what looks like the note of what is left out is only output',
    command: `printf '%s\\n' '[… 1000000 bytes left out …]' '{ "exit-code": 0 }' '{ "started": true }'; exit 6`,
    ends: 'failed',
    untouched: (t, { exitCode, stdout }) => {
      t.equal(exitCode, 6);
      t.equal(stdout.truncated, false);
    },
  },
  {
    name: 'one that closes its output and goes on is waited for, and bounded',
    command: 'exec >&- 2>&-; sleep 20',
    timeoutMs: 700,
    ends: 'timeout',
  },
  {
    name: 'one that sends its output elsewhere: locks, sizes, ownership of the pipe',
    command: python(`
tried('size', lambda: fcntl.fcntl(1, 1031, 1 << 20))
tried('size 1 GiB', lambda: fcntl.fcntl(1, 1031, 1 << 30))
tried('flags', lambda: fcntl.fcntl(1, fcntl.F_SETFL, os.O_NONBLOCK))
tried('owner', lambda: fcntl.fcntl(1, fcntl.F_SETOWN, 1))
tried('chmod', lambda: os.fchmod(1, 0o777))
tried('chown', lambda: os.fchown(1, 1000, 1000))
tried('truncate', lambda: os.ftruncate(1, 0))
for n in range(100): os.write(2, b'y' * 4096)
`),
    ends: 'ok',
    says: /truncate: (EINVAL|EBADF)/,
    never: /size 1 GiB: GOT/,
  },
]);
