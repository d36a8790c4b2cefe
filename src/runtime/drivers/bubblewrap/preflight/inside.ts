/** Facts of which each stands on lines of its own below its name. */
export type Facts = ReadonlyMap<string, readonly string[]>;

const MARK = '@@ ';
/** Characters; shorter lines are alike everywhere, such as SHLVL=1. */
const LEAST_SECRET = 12;
const OF_SHELLS = /^(PWD|OLDPWD|SHLVL|_)=/;

/**
 * What the canary looks at, from inside. `$1`: a directory of the service, `$2`: a port of the service on loopback. Words of
 * shells of every kind, and of programs that Debian always has, besides the two that come with isolation anyhow.
 */
export const LOOK_AROUND = `
say() { echo "${MARK}$1"; }
say uid; id -u; id -g
say status; cat /proc/self/status
say fds; ls /proc/$$/fd
say environment; cat /proc/$$/environ | tr '\\0' '\\n'; echo
say shadow; [ -e /etc/shadow ] && echo there
say state-dir; [ -e "$1" ] && echo there
say root-write; (: >/castellan-canary) 2>/dev/null && echo written
say usr-write; (: >/usr/castellan-canary) 2>/dev/null && echo written
say workspace-write; (: >/workspace/.canary) 2>/dev/null && echo written; rm -f /workspace/.canary
say namespaces; unshare --user true 2>/dev/null && echo made; unshare --net true 2>/dev/null && echo made
say devices; cat /proc/net/dev
say listener; socat -u "TCP4:127.0.0.1:$2,connect-timeout=1" - 2>/dev/null && echo reached
say vsock; socat -u VSOCK-CONNECT:2:1 - 2>&1
say environments; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n'; echo
say done
`;

export function readFactsInside(text: string): Facts {
  const facts = new Map<string, string[]>();
  let lines: string[] = [];
  for (const line of text.split('\n')) {
    if (line.startsWith(MARK)) {
      lines = [];
      facts.set(line.slice(MARK.length), lines);
    } else if (line !== '') {
      lines.push(line);
    }
  }
  return facts;
}

export interface Expected {
  readonly environment: Readonly<Record<string, string>>;
  /** `NAME=value` of the service's environment: nowhere inside, but for what is asked to be there. */
  readonly own: readonly string[];
  readonly uid: number;
}

/** What is not as it must be; empty when isolation holds. */
export function brokenPromises(facts: Facts, expected: Expected): string[] {
  const of = (name: string) => facts.get(name);
  const status = new Map(
    (of('status') ?? []).map((line): [string, string] => {
      const [name = '', value = ''] = line.split(/:\s+/);
      return [name, value];
    }),
  );
  const isEmpty = (name: string) => of(name)?.length === 0;
  const caps = ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'];
  const environment = Object.entries(expected.environment).map(([name, value]) => `${name}=${value}`);
  const promises: readonly (readonly [promise: string, holds: boolean])[] = [
    ['the look around ends', facts.has('done')],
    ['the user is that of sandboxes', same(of('uid'), [`${expected.uid}`, `${expected.uid}`])],
    ['there are no capabilities', caps.every((cap) => /^0+$/.test(status.get(cap) ?? ''))],
    ['no new privileges can be had', status.get('NoNewPrivs') === '1'],
    ['system calls are filtered', status.get('Seccomp') === '2'],
    ['descriptors are 0, 1 and 2', same(of('fds'), ['0', '1', '2'])],
    ['the environment is as asked', same(asked(of('environment')), environment.toSorted())],
    ['/etc/shadow is not there', isEmpty('shadow')],
    ['the state directory is not there', isEmpty('state-dir')],
    ['/ cannot be written', isEmpty('root-write')],
    ['/usr cannot be written', isEmpty('usr-write')],
    ['/workspace can be written', same(of('workspace-write'), ['written'])],
    ['no namespaces can be made', isEmpty('namespaces')],
    ['the only network device is lo', same(devices(of('devices')), ['lo'])],
    ['a listener of the machine is not reached', isEmpty('listener')],
    ['sockets of virtual machines are refused', isRefused(of('vsock'))],
    ["the service's environment is nowhere", isForeign(of('environments'), expected.own, environment)],
  ];
  return promises.filter(([, holds]) => !holds).map(([promise]) => promise);
}

function isForeign(seen: readonly string[] | undefined, own: readonly string[], asked: readonly string[]): boolean {
  const lines = own.filter((entry) => !OF_SHELLS.test(entry)).flatMap((entry) => entry.split('\n'));
  const secret = new Set(lines.filter((line) => line.length >= LEAST_SECRET));
  for (const line of asked) secret.delete(line);
  return seen?.every((line) => !secret.has(line)) ?? false;
}

/** Without what bwrap and shells add themselves: where they are, and how deep. */
function asked(lines: readonly string[] | undefined): string[] | undefined {
  return lines?.filter((line) => !OF_SHELLS.test(line)).toSorted();
}

/** Not that nobody answers: that there is no such socket. What socat knows nothing of cannot be tried. */
function isRefused(said: readonly string[] | undefined): boolean {
  const text = said?.join(' ') ?? '';
  return /socket\(.*(not permitted|not supported)/.test(text) || /unknown device\/address/.test(text);
}

function devices(lines: readonly string[] | undefined): string[] | undefined {
  return lines?.flatMap((line) => /^\s*([^\s:]+):/.exec(line)?.[1] ?? []);
}

function same(found: readonly string[] | undefined, wanted: readonly string[]): boolean {
  return found !== undefined && found.length === wanted.length && wanted.every((one, index) => found[index] === one);
}
