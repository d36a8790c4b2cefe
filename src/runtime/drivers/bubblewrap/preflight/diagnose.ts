import type { IsolationProblem } from '../../../errors.ts';
import type { MachineFacts } from './facts.ts';

/** The first that has --disable-userns. */
const LEAST_VERSION = [0, 8] as const;
const SHOWN_CHARS = 200;

/** What no setting changes. */
export function machineObstacle(facts: {
  readonly platform: string;
  readonly arch: string;
}): IsolationProblem | undefined {
  if (facts.platform !== 'linux') {
    return {
      check: 'platform',
      observed: `this is ${facts.platform}`,
      fix: 'Run the service on Linux, or use CASTELLAN_RUNTIME_DRIVER=kubernetes',
    };
  }
  if (facts.arch !== 'x64' && facts.arch !== 'arm64') {
    return {
      check: 'architecture',
      observed: `this is ${facts.arch}`,
      fix: 'Run the service on x64 or arm64: only for these there is a list of refused system calls',
    };
  }
  return undefined;
}

/** `said`: by `bwrap --version`. */
export function versionObstacle(said: string): IsolationProblem | undefined {
  const fix = `Install bubblewrap ${LEAST_VERSION.join('.')} or newer`;
  const [, major, minor] = /^bubblewrap (\d+)\.(\d+)/.exec(said) ?? [];
  if (major === undefined || minor === undefined)
    return { check: 'bubblewrap-version', observed: `bwrap does not say its version: ${short(said)}`, fix };
  const isOld = Number(major) === LEAST_VERSION[0] && Number(minor) < LEAST_VERSION[1];
  return isOld ? { check: 'bubblewrap-version', observed: said, fix } : undefined;
}

/** Bits of linux/capability.h. */
const NEEDED_BY_ROOT = { CAP_CHOWN: 0n, CAP_KILL: 5n, CAP_SETGID: 6n, CAP_SETUID: 7n } as const;

/** Root that was left without rights: what it starts as other users it could not end, or not own what it is to own. */
export function capabilityObstacle(facts: Pick<MachineFacts, 'uid' | 'capabilities'>): IsolationProblem | undefined {
  if (facts.uid !== 0) return undefined;
  const missing = Object.entries(NEEDED_BY_ROOT).filter(([, bit]) => ((facts.capabilities >> bit) & 1n) === 0n);
  if (missing.length === 0) return undefined;
  return {
    check: 'capabilities',
    observed: `the service is root without ${missing.map(([name]) => name).join(', ')}`,
    fix: 'Give the service these capabilities, as deploy/systemd/castellan.service does, or run it as an ordinary user',
  };
}

/** Why nothing could be started isolated, by what the machine says and by what bwrap has said. */
export function whyNotStarted(facts: MachineFacts, said: string): IsolationProblem {
  const check = 'user-namespaces';
  if (facts.maxUserNamespaces === '0') {
    return {
      check,
      observed: 'user.max_user_namespaces is 0',
      fix: 'sysctl -w user.max_user_namespaces=15000, and the same in /etc/sysctl.d',
    };
  }
  if (facts.unprivilegedUserns === '0') {
    return {
      check,
      observed: 'kernel.unprivileged_userns_clone is 0',
      fix: 'sysctl -w kernel.unprivileged_userns_clone=1, and the same in /etc/sysctl.d',
    };
  }
  if (facts.apparmorRestricts === '1') {
    return {
      check: 'apparmor',
      observed: 'AppArmor lets unprivileged users make no user namespaces',
      fix: 'Give /usr/bin/bwrap an AppArmor profile with the permission userns, or sysctl -w kernel.apparmor_restrict_unprivileged_userns=0',
    };
  }
  if (facts.inContainer || facts.seccomp === '2') {
    return {
      check: 'container',
      observed: `the container lets no namespaces be made: ${short(said)}`,
      fix: 'Run the service outside of containers, or use CASTELLAN_RUNTIME_DRIVER=kubernetes; its own container stays restricted',
    };
  }
  return {
    check: 'bubblewrap',
    observed: said === '' ? 'bwrap starts nothing and does not say why' : `bwrap starts nothing: ${short(said)}`,
    fix: 'Try `bwrap --unshare-all --ro-bind / / true` as the user of the service',
  };
}

/** One line; paths of runs are in no message of bwrap's before it has set up a namespace. */
function short(text: string): string {
  return text.trim().replaceAll(/\s+/g, ' ').slice(0, SHOWN_CHARS);
}
