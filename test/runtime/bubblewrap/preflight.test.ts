import t from 'tap';

import {
  capabilityObstacle,
  machineObstacle,
  versionObstacle,
  whyNotStarted,
} from '../../../src/runtime/drivers/bubblewrap/preflight/diagnose.ts';
import type { MachineFacts } from '../../../src/runtime/drivers/bubblewrap/preflight/facts.ts';
import { brokenPromises, readFactsInside } from '../../../src/runtime/drivers/bubblewrap/preflight/inside.ts';
import { createPreflight } from '../../../src/runtime/drivers/bubblewrap/preflight/preflight.ts';
import { findTools } from '../../../src/runtime/drivers/bubblewrap/tools.ts';
import type { IsolationState } from '../../../src/runtime/isolation.ts';

const MACHINE: MachineFacts = {
  uid: 0,
  bwrapVersion: 'bubblewrap 0.8.0',
  unprivilegedUserns: undefined,
  maxUserNamespaces: '96365',
  apparmorRestricts: undefined,
  seccomp: '0',
  capabilities: 0x1ffffffffffn,
  inContainer: false,
};

t.test('each known cause has its check, what was seen and what to do', async (t) => {
  const why = (facts: Partial<MachineFacts>, said = 'bwrap: No permissions') =>
    whyNotStarted({ ...MACHINE, ...facts }, said);
  t.match(why({ maxUserNamespaces: '0' }), { check: 'user-namespaces', fix: /sysctl -w user.max_user_namespaces=/ });
  t.match(why({ unprivilegedUserns: '0' }), { check: 'user-namespaces', fix: /unprivileged_userns_clone=1/ });
  t.match(why({ apparmorRestricts: '1' }), { check: 'apparmor', fix: /profile/ });
  t.match(why({ seccomp: '2' }), { check: 'container', observed: /No permissions/, fix: /kubernetes/ });
  t.match(why({ inContainer: true }), { check: 'container' });
  t.match(why({}), { check: 'bubblewrap', observed: /No permissions/ });
  t.match(why({}, ''), { check: 'bubblewrap', observed: /does not say why/ });
  t.match(machineObstacle({ platform: 'darwin', arch: 'arm64' }), { check: 'platform', fix: /kubernetes/ });
  t.match(machineObstacle({ platform: 'linux', arch: 'riscv64' }), { check: 'architecture' });
  t.equal(machineObstacle({ platform: 'linux', arch: 'arm64' }), undefined);
  t.equal(versionObstacle('bubblewrap 0.8.0'), undefined);
  t.equal(versionObstacle('bubblewrap 1.0'), undefined);
  t.match(versionObstacle('bubblewrap 0.7.1'), { check: 'bubblewrap-version', fix: /0\.8/ });
  t.match(versionObstacle('spawn EACCES'), { check: 'bubblewrap-version', observed: /EACCES/ });
});

t.test('root without a right that it needs is told which', async (t) => {
  const of = (capabilities: bigint, uid = 0) => capabilityObstacle({ uid, capabilities });
  t.equal(of(MACHINE.capabilities), undefined);
  t.match(of(MACHINE.capabilities & ~1n), { check: 'capabilities', observed: /root without CAP_CHOWN$/ });
  t.match(of(0n), { observed: /CAP_CHOWN, CAP_KILL, CAP_SETGID, CAP_SETUID$/, fix: /castellan\.service/ });
  t.equal(of(0n, 1000), undefined, 'an ordinary user needs none');
});

t.test('tools are absolute paths, and relative directories of PATH are none', async (t) => {
  const tools = await findTools('.:bin:/nowhere');
  for (const path of Object.values(tools)) t.match(path, /^\//);
});

const GOOD = `@@ uid
1000
1000
@@ status
CapInh:\t0000000000000000
CapPrm:\t0000000000000000
CapEff:\t0000000000000000
CapBnd:\t0000000000000000
CapAmb:\t0000000000000000
NoNewPrivs:\t1
Seccomp:\t2
@@ fds
0
1
2
@@ environment
PATH=/usr/bin
PWD=/workspace
@@ shadow
@@ state-dir
@@ root-write
@@ usr-write
@@ workspace-write
written
@@ namespaces
@@ devices
Inter-|   Receive
 face |bytes
    lo:       0
@@ listener
@@ vsock
2026/11/22 socat[5] E socket(40, 1, 0): Operation not permitted
@@ environments
PATH=/usr/bin
@@ done
`;
const EXPECTED = {
  environment: { PATH: '/usr/bin' },
  own: ['PATH=/usr/bin', 'DATABASE_URL=f00f00', 'KEY=line one\nline two of it'],
  uid: 1000,
};

t.test('the canary holds every promise to what was seen inside', async (t) => {
  t.same(brokenPromises(readFactsInside(GOOD), EXPECTED), []);
  const lies: readonly (readonly [string, string, RegExp])[] = [
    ['@@ uid\n1000', '@@ uid\n0', /user/],
    ['CapBnd:\t0000000000000000', 'CapBnd:\t0000000000000400', /capabilities/],
    ['NoNewPrivs:\t1', 'NoNewPrivs:\t0', /new privileges/],
    ['Seccomp:\t2', 'Seccomp:\t0', /filtered/],
    ['2\n@@ environment', '2\n7\n@@ environment', /descriptors/],
    ['PATH=/usr/bin\nPWD', 'PATH=/usr/bin\nHOME=/root\nPWD', /environment/],
    ['@@ shadow\n', '@@ shadow\nthere\n', /shadow/],
    ['@@ state-dir\n', '@@ state-dir\nthere\n', /state directory/],
    ['@@ root-write\n', '@@ root-write\nwritten\n', /\/ cannot/],
    ['@@ usr-write\n', '@@ usr-write\nwritten\n', /\/usr cannot/],
    ['written\n', '', /workspace can/],
    ['@@ namespaces\n', '@@ namespaces\nmade\n', /namespaces/],
    ['@@ listener', '  eth0:   0\n@@ listener', /lo$/],
    ['@@ listener\n', '@@ listener\nreached\n', /listener/],
    ['socket(40, 1, 0): Operation not permitted', 'connect(5): Connection reset', /virtual machines/],
    ['@@ environments\n', '@@ environments\nDATABASE_URL=f00f00\n', /environment is nowhere/],
    ['@@ environments\n', '@@ environments\nline two of it\n', /environment is nowhere/],
    ['@@ done\n', '', /ends/],
  ];
  for (const [from, to, broken] of lies) {
    const text = GOOD.replace(from, to);
    t.not(text, GOOD);
    const found = brokenPromises(readFactsInside(text), EXPECTED);
    t.equal(found.length, 1, found.join());
    t.match(found[0], broken);
  }
  t.ok(brokenPromises(readFactsInside(''), EXPECTED).length > 14, 'what was not seen does not hold');
});

const AVAILABLE: IsolationState = { available: true, limits: 'enforced', version: 'x' };
const UNAVAILABLE: IsolationState = { available: false, problem: { check: 'c', observed: 'o', fix: 'f' } };

t.test(
  'a good outcome stays, a bad one is looked at again after a while, and one look serves all who ask',
  async (t) => {
    let now = 1_000_000;
    let looks = 0;
    let outcome: IsolationState = UNAVAILABLE;
    const preflight = createPreflight(
      async () => {
        looks += 1;
        return outcome;
      },
      () => now,
    );
    t.same(await Promise.all([preflight.state(), preflight.state(), preflight.recheck()]), Array(3).fill(UNAVAILABLE));
    t.equal(looks, 1);
    for (const [look, wait] of [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000].entries()) {
      now += wait - 1;
      await preflight.state();
      t.equal(looks, look + 1, `not before ${wait} ms`);
      now += 1;
      await preflight.state();
      t.equal(looks, look + 2);
    }
    outcome = AVAILABLE;
    now += 30_000;
    t.same(await preflight.state(), AVAILABLE);
    now += 1_000_000;
    await preflight.state();
    t.equal(looks, 9);
    outcome = UNAVAILABLE;
    t.same(await preflight.recheck(), UNAVAILABLE);
    t.same(await preflight.state(), UNAVAILABLE);
    t.equal(looks, 10);
    now += 1000;
    await preflight.state();
    t.equal(looks, 11, 'soon again after a good one');
  },
);
