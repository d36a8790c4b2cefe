import { existsSync } from 'node:fs';
import t from 'tap';

import { isolationTest } from '../support/isolation.ts';
import { attacks } from './support/attack.ts';
import { compiled, python } from './support/python.ts';

isolationTest(t);

attacks(t, [
  {
    name: 'a daemon that ignores every signal ends with its command',
    command: python(`
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in range(1, 65):
            try: signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError): pass
        beat = open('/workspace/beat', 'a')
        while True:
            beat.write('x'); beat.flush(); time.sleep(0.02)
    os._exit(0)
while not os.path.exists('/workspace/beat') or os.path.getsize('/workspace/beat') == 0: time.sleep(0.01)
`),
    ends: 'ok',
    after: ['a=$(wc -c < beat); sleep 0.4; [ $a = $(wc -c < beat) ] && echo silent', /^silent\n$/],
  },
  {
    name: 'kill -9 -1 ends nobody else',
    command: 'sleep 10 & kill -9 -1; echo unreached; exit 0',
    ends: ['failed', 'ok'],
    untouched: (t) => void t.ok(process.ppid > 0 && existsSync(`/proc/${process.ppid}`)),
  },
  {
    name: 'signals to the first process and to every number do nothing outside',
    command: python(`
for pid in (1, os.getppid()):
    for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGSEGV):
        if pid != os.getpid(): tried(f'kill {pid}', lambda: os.kill(pid, number)) if pid == 1 else None
found = []
for pid in range(2, 70000):
    try: os.kill(pid, 0)
    except ProcessLookupError: continue
    except PermissionError: found.append(pid)
    else: found.append(pid)
say('others', 'few' if len(found) < 6 else f'GOT {len(found)}')
`),
    ends: ['ok', 'failed'],
    says: /others: few/,
    untouched: (t) => void t.ok(existsSync(`/proc/${process.ppid}`)),
  },
  {
    name: 'stopping its own first process stops no timeout',
    command: `sh -c 'kill -STOP $PPID' ; kill -STOP 1; kill -STOP $$; sleep 30`,
    timeoutMs: 700,
    ends: 'timeout',
  },
  {
    name: 'output of an orphan after the end belongs to nobody',
    command: `(setsid sh -c 'sleep 0.1; echo late; sleep 0.1; echo later' &) ; echo early`,
    ends: 'ok',
    says: /^early\n/,
    never: /late/,
  },
  {
    name: 'a hundred orphans that hold the output do not hold up the end',
    command: python(`
for _ in range(50):
    if os.fork() == 0:
        os.setsid(); time.sleep(30); os._exit(0)
print('early', flush=True)
`),
    ends: 'ok',
    says: /^early\n/,
    untouched: (t, { durationMs }) => void t.ok(durationMs < 5000, `${durationMs} ms`),
  },
  {
    name: 'memory of the first process, written by hand, changes only what is inside',
    command: python(`
tried('mem of 1', lambda: os.open('/proc/1/mem', os.O_RDWR) and 'opened')
tried('mem of self', lambda: os.close(os.open('/proc/self/mem', os.O_RDWR)))
for name in ('/proc/sys/kernel/core_pattern', '/proc/sys/vm/drop_caches', '/proc/sysrq-trigger', '/proc/sys/kernel/modprobe', '/proc/1/oom_score_adj', '/proc/irq/0/smp_affinity'):
    tried(name, lambda: put(name, '1'))
`),
    ends: ['ok', 'failed'],
    says: [
      /core_pattern: (EROFS|EACCES|EPERM|ENOENT)/,
      /sysrq-trigger: (EROFS|EACCES|EPERM|ENOENT)/,
      /modprobe: (EROFS|EACCES|EPERM|ENOENT)/,
      /drop_caches: (EROFS|EACCES|EPERM|ENOENT)/,
    ],
    never: /(core_pattern|sysrq-trigger|modprobe|drop_caches|smp_affinity): GOT/,
  },
  {
    name: 'it is not spared when memory runs out',
    command: python(`
tried('oom_score_adj', lambda: put('/proc/self/oom_score_adj', '-1000'))
tried('oom_adj', lambda: put('/proc/self/oom_adj', '-17'))
`),
    ends: 'ok',
    says: /oom_score_adj: (EACCES|EPERM|EROFS)/,
    never: /oom_score_adj: GOT/,
  },
  {
    name: 'zombies by the dozen are reaped by the end',
    command: compiled(`
#include <stdio.h>
#include <unistd.h>
int main(void) {
  int made = 0;
  while (made < 500) { int pid = fork(); if (pid == 0) _exit(0); if (pid < 0) break; made++; }
  printf("made %s\\n", made < 64 ? "few" : "GOT many");
  return 0;
}`),
    ends: 'ok',
    says: /made few/,
  },
  {
    name: 'clone into a cgroup or a process group outside',
    command: python(`
tried('cgroup', lambda: os.listdir('/sys/fs/cgroup'))
tried('setpgid', lambda: os.setpgid(0, 1))
tried('session of 1', lambda: os.getsid(0))
for line in open('/proc/self/cgroup'): print('cgroup line', line.strip())
`),
    ends: 'ok',
    says: /cgroup: ENOENT/,
    never: /castellan-|cgroup: GOT/,
  },
]);
