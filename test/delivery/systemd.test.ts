import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';

import { ROOT } from './support/container.ts';
import { parseUnit, unitProblems } from './support/systemd-rules.ts';

const text = readFileSync(join(ROOT, 'deploy/systemd/castellan.service'), 'utf8');

t.test('the unit keeps the rules', async (t) => {
  t.same(unitProblems(parseUnit(text)), []);
});

/** What is changed → what must be said about it. */
const MISTAKES: readonly (readonly [from: string | RegExp, to: string, says: RegExp])[] = [
  ['Delegate=yes', '', /Delegate/],
  ['OOMPolicy=continue', 'OOMPolicy=stop', /OOMPolicy/],
  ['KillMode=mixed', 'KillMode=control-group', /KillMode/],
  ['TimeoutStopSec=45', 'TimeoutStopSec=10', /TimeoutStopSec/],
  ['CAP_SYS_ADMIN ', '', /CapabilityBoundingSet/],
  ['CAP_SYS_ADMIN', 'CAP_SYS_ADMIN CAP_SYS_PTRACE', /CapabilityBoundingSet/],
  ['NoNewPrivileges=yes', 'NoNewPrivileges=no', /NoNewPrivileges/],
  ['NoNewPrivileges', 'NoNewPrivilege', /NoNewPrivilege: not a name we know/],
  ['ProtectSystem=strict', 'ProtectSystem=full', /ProtectSystem/],
  ['RestrictNamespaces=no', 'RestrictNamespaces=yes', /RestrictNamespaces: no sandbox/],
  ['ProtectKernelTunables=no', 'ProtectKernelTunables=yes', /ProtectKernelTunables: no sandbox/],
  ['ProtectKernelLogs=no', 'ProtectKernelLogs=yes', /ProtectKernelLogs: no sandbox/],
  ['ProtectControlGroups=no', 'ProtectControlGroups=yes', /ProtectControlGroups: no sandbox/],
  ['PrivateUsers=no', 'PrivateUsers=yes', /PrivateUsers: no sandbox/],
  ['MemoryDenyWriteExecute=no', 'MemoryDenyWriteExecute=yes', /MemoryDenyWriteExecute/],
  [' @swap', ' @swap @mount', /isolation needs these/],
  ['RuntimeDirectoryMode=0711', 'RuntimeDirectoryMode=0755', /RuntimeDirectoryMode/],
  ['STATE_DIR=/run/castellan', 'STATE_DIR=/tmp/castellan', /state directory/],
  ['DRIVER=bubblewrap', 'DRIVER=auto', /would be ready/],
  ['CASTELLAN_RUNTIME_DRIVER', 'CASTELLAN_RUNTIME_DRIVR', /CASTELLAN_RUNTIME_DRIVR: not a setting/],
  ['/usr/bin/node', '/bin/sh -c /usr/bin/node', /ExecStart/],
  ['=64 78', '=64', /RestartPreventExitStatus/],
];

t.test('and each of these mistakes is found', async (t) => {
  for (const [from, to, says] of MISTAKES) {
    const spoilt = text.replace(from, to);
    t.not(spoilt, text, `${to}: the mistake is in`);
    t.match(unitProblems(parseUnit(spoilt)).join('\n'), says, `${from} → ${to}`);
  }
});

const ANALYZE = 'systemd-analyze';
const hasSystemd = spawnSync(ANALYZE, ['--version']).status === 0;

t.test('systemd has nothing to say about it', { skip: hasSystemd ? false : 'systemd is not installed' }, async (t) => {
  const file = join(t.testdir({}), 'castellan.service');
  // Its programs are not where the unit will find them.
  await writeFile(file, text.replace(/^ExecStart=.*$/m, 'ExecStart=/bin/true'));
  const { status, stdout, stderr } = spawnSync(ANALYZE, ['verify', file], { encoding: 'utf8' });
  t.equal(status, 0, stdout + stderr);
  t.equal(stdout + stderr, '');
});

t.test('what it leaves open is said in the docs', async (t) => {
  const docs = readFileSync(join(ROOT, 'docs/isolation.md'), 'utf8');
  for (const name of ['ProtectKernelTunables', 'ProtectKernelLogs', 'Delegate=yes', 'OOMPolicy=continue']) {
    t.match(docs, name);
  }
});
