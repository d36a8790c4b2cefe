import { type Problem, problemsOf, settingProblems } from './rules.ts';

/** Values of a unit file by section and name, in their order. */
export type Unit = ReadonlyMap<string, readonly string[]>;

/** What may be in the unit: a misspelt name is a warning to systemd, and no protection. */
const KNOWN = [
  ...['Description', 'Wants', 'After', 'StartLimitIntervalSec', 'StartLimitBurst'].map((name) => `Unit.${name}`),
  ...['Type', 'WorkingDirectory', 'EnvironmentFile', 'Environment', 'ExecStart', 'Restart', 'RestartSec'].map(service),
  ...['RestartPreventExitStatus', 'KillMode', 'TimeoutStopSec', 'Delegate', 'OOMPolicy', 'TasksMax'].map(service),
  ...['LimitNOFILE', 'LimitCORE', 'User', 'CapabilityBoundingSet', 'AmbientCapabilities', 'UMask'].map(service),
  ...['NoNewPrivileges', 'RuntimeDirectory', 'RuntimeDirectoryMode', 'ProtectSystem', 'ProtectHome'].map(service),
  ...['PrivateTmp', 'PrivateDevices', 'ProtectKernelModules', 'ProtectClock', 'RestrictAddressFamilies'].map(service),
  ...['RestrictRealtime', 'RestrictSUIDSGID', 'LockPersonality', 'KeyringMode', 'SystemCallArchitectures'].map(service),
  ...['SystemCallFilter', 'SystemCallErrorNumber', 'RestrictNamespaces', 'PrivateUsers'].map(service),
  ...['ProtectKernelTunables', 'ProtectKernelLogs', 'ProtectProc', 'ProcSubset', 'ProtectControlGroups'].map(service),
  ...['MemoryDenyWriteExecute'].map(service),
  'Install.WantedBy',
];
/** Of root's power what the chain and its ground need, and nothing else. */
const CAPABILITIES = [
  ...['CAP_CHOWN', 'CAP_DAC_OVERRIDE', 'CAP_KILL', 'CAP_SETGID', 'CAP_SETPCAP', 'CAP_SETUID'],
  'CAP_SYS_ADMIN',
];
/** Without these nothing can be isolated: namespaces, a whole /proc, cgroups; and JavaScript is compiled as it runs. */
const OPEN: Readonly<Record<string, string>> = {
  RestrictNamespaces: 'no',
  PrivateUsers: 'no',
  ProtectKernelTunables: 'no',
  ProtectKernelLogs: 'no',
  ProtectProc: 'default',
  ProcSubset: 'all',
  ProtectControlGroups: 'no',
  MemoryDenyWriteExecute: 'no',
};
const CLOSED: Readonly<Record<string, string>> = {
  AmbientCapabilities: '',
  NoNewPrivileges: 'yes',
  ProtectSystem: 'strict',
  ProtectHome: 'yes',
  PrivateTmp: 'yes',
  PrivateDevices: 'yes',
  ProtectKernelModules: 'yes',
  ProtectClock: 'yes',
  RestrictRealtime: 'yes',
  RestrictSUIDSGID: 'yes',
  LockPersonality: 'yes',
  KeyringMode: 'private',
  SystemCallArchitectures: 'native',
  UMask: '0077',
  LimitCORE: '0',
};
/** s; the service ends itself at 30. */
const MIN_STOP = 31;

export function parseUnit(text: string): Unit {
  const unit = new Map<string, string[]>();
  let section = '';
  for (const line of text.split('\n').map((one) => one.trim())) {
    const header = /^\[(\w+)\]$/.exec(line)?.[1];
    const [, name, value] = /^([A-Za-z]+)=(.*)$/.exec(line) ?? [];
    if (header !== undefined) section = header;
    else if (name !== undefined && value !== undefined)
      unit.set(`${section}.${name}`, [...(unit.get(`${section}.${name}`) ?? []), value]);
    else if (line !== '' && !line.startsWith('#')) throw new Error(`what is ${line}?`);
  }
  return unit;
}

/** What is wrong with the unit of the service with the local driver. */
export function unitProblems(unit: Unit): string[] {
  const value = (name: string): string | undefined => unit.get(service(name))?.join(' ');
  const environment = Object.fromEntries(
    (value('Environment') ?? '').split(' ').flatMap((one) => {
      const [, name, text] = /^([A-Z_]+)=(.*)$/.exec(one) ?? [];
      return name === undefined || text === undefined ? [] : [[name, text]];
    }),
  );
  const capabilities = (value('CapabilityBoundingSet') ?? '').split(' ').sort();
  const families = (value('RestrictAddressFamilies') ?? '').split(' ').sort();
  return problemsOf([
    ...[...unit.keys()].map((name): Problem => [!KNOWN.includes(name), `${name}: not a name we know`]),
    ...Object.entries(OPEN).map(
      ([name, wanted]): Problem => [value(name) !== wanted, `${name}: no sandbox could be made`],
    ),
    ...Object.entries(CLOSED).map(([name, wanted]): Problem => [value(name) !== wanted, `${name}: not ${wanted}`]),
    ...settingProblems(environment),
    [capabilities.join() !== CAPABILITIES.join(), 'CapabilityBoundingSet'],
    [families.join() !== 'AF_INET,AF_INET6,AF_NETLINK,AF_UNIX', 'RestrictAddressFamilies'],
    [!/^~.*@debug.*@module/.test(value('SystemCallFilter') ?? ''), 'SystemCallFilter'],
    [
      /@mount|@process|@privileged|@setuid/.test(value('SystemCallFilter') ?? ''),
      'SystemCallFilter: isolation needs these',
    ],
    [value('Delegate') !== 'yes', 'Delegate: no cgroups of its own'],
    [value('OOMPolicy') !== 'continue', 'OOMPolicy: a sandbox out of memory would stop the service'],
    [value('KillMode') !== 'mixed', 'KillMode: agents would be signalled beside the service'],
    [!(Number(value('TimeoutStopSec')) >= MIN_STOP), 'TimeoutStopSec is shorter than the drain'],
    [value('RestartPreventExitStatus') !== '64 78', 'RestartPreventExitStatus'],
    [!/^\/\S+ \/\S+\/main\.js serve$/.test(value('ExecStart') ?? ''), 'ExecStart: the process itself, without a shell'],
    [value('RuntimeDirectoryMode') !== '0711', 'RuntimeDirectoryMode: sandboxes must pass through, and nobody list'],
    [
      environment['CASTELLAN_RUNTIME_STATE_DIR'] !== `/run/${value('RuntimeDirectory')}`,
      'the state directory is another',
    ],
    [environment['CASTELLAN_RUNTIME_DRIVER'] !== 'bubblewrap', 'a replica that cannot isolate would be ready'],
  ]);
}

function service(name: string): string {
  return `Service.${name}`;
}
