import { parse } from 'yaml';

import { isExactVersion, type Problem, problemsOf, settingProblems } from './rules.ts';

interface Service {
  readonly image?: string;
  readonly user?: string;
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
  readonly logging?: { readonly options?: Record<string, string> };
  readonly environment?: Record<string, string>;
  readonly secrets?: readonly string[];
  readonly configs?: readonly { readonly source: string }[];
  readonly volumes?: readonly string[];
  readonly networks?: readonly string[];
  readonly ports?: readonly string[];
  readonly depends_on?: Record<string, { readonly condition: string }>;
  readonly healthcheck?: { readonly disable?: boolean; readonly test?: readonly string[] };
  readonly restart?: string;
  readonly stop_grace_period?: string;
  readonly deploy?: { readonly resources?: { readonly limits?: Record<string, string | number> } };
}

interface ComposeFile {
  readonly services: Record<string, Service>;
  readonly networks: Record<string, { readonly internal?: boolean }>;
  readonly volumes: Record<string, unknown>;
  readonly configs: Record<string, { readonly file: string }>;
  readonly secrets: Record<string, { readonly file: string }>;
}

/** Closed: a key that Compose does not know is refused by it, and one that nobody has thought about is refused here. */
const TOP_KEYS = ['name', 'services', 'networks', 'volumes', 'configs', 'secrets'];
const SERVICE_KEYS = [
  ...['image', 'build', 'user', 'read_only', 'cap_drop', 'security_opt', 'logging', 'tmpfs', 'shm_size'],
  ...['entrypoint', 'command', 'environment', 'secrets', 'configs', 'volumes', 'networks', 'network_mode', 'ports'],
  ...['depends_on', 'healthcheck', 'restart', 'stop_signal', 'stop_grace_period', 'deploy', 'profiles'],
];
/** s; the service ends itself at 30. */
const MIN_GRACE = 31;

/** What is wrong with a compose file, by the rules of this project. No schema of Compose is among the dependencies. */
export function composeProblems(text: string): string[] {
  const file: ComposeFile = parse(text, { merge: true });
  return [
    ...Object.keys(file)
      .filter((key) => !TOP_KEYS.includes(key) && !key.startsWith('x-'))
      .map((key) => `${key}: not a key we know`),
    ...Object.entries(file.services).flatMap(([name, service]) =>
      [...serviceProblems(service), ...linkProblems(service, file)].map((problem) => `${name}: ${problem}`),
    ),
    ...wholeProblems(file),
  ];
}

const isOneShot = (service: Service): boolean => service.restart === 'no';

function serviceProblems(service: Service): string[] {
  const { limits = {} } = service.deploy?.resources ?? {};
  const options = service.logging?.options ?? {};
  const health = service.healthcheck;
  const problems: Problem[] = [
    ...Object.keys(service).map((key): Problem => [!SERVICE_KEYS.includes(key), `${key}: not a key we know`]),
    [!isExactVersion(withDefaults(service.image)), `image ${service.image}: not an exact version`],
    [!/^([1-9]\d*:[1-9]\d*|\$\{RUN_AS:\?.+\})$/.test(service.user ?? ''), 'user: root, or not said'],
    [service.read_only !== true, 'read_only'],
    [service.cap_drop?.join() !== 'ALL', 'cap_drop'],
    [service.security_opt?.includes('no-new-privileges:true') !== true, 'no-new-privileges'],
    [!('cpus' in limits && 'memory' in limits && 'pids' in limits), 'limits of cpus, memory and pids'],
    [!('max-size' in options && 'max-file' in options), 'logs without a bound'],
    [!['no', 'unless-stopped'].includes(service.restart ?? ''), 'restart policy'],
    [isOneShot(service) ? health?.disable !== true : health?.test?.[0] !== 'CMD', 'health check in exec form'],
    [service.volumes?.some((volume) => !/^(\.\/)?[a-z]/.test(volume)) === true, 'a mount from outside the checkout'],
    [service.ports?.some((port) => !port.startsWith('127.0.0.1:')) === true, 'a port published beyond loopback'],
    ...secretProblems(service),
  ];
  return problemsOf(problems);
}

function secretProblems({ environment = {}, secrets = [], image }: Service): Problem[] {
  const files = Object.values(environment).filter((value) => value.startsWith('/run/secrets/'));
  return [
    ...files.map((file): Problem => [!secrets.includes(file.slice('/run/secrets/'.length)), `${file}: not granted`]),
    ...(image?.startsWith('castellan:') === true ? settingProblems(environment) : []),
    ...Object.keys(environment).map((name): Problem => [/PASSWORD$/.test(name), `${name}: a secret by value`]),
  ];
}

/** Names that lead nowhere, and conditions that never come true. */
function linkProblems(service: Service, file: ComposeFile): string[] {
  const volumes = (service.volumes ?? []).map((volume) => volume.split(':')[0] ?? '');
  const named = volumes.filter((volume) => !volume.startsWith('./'));
  const missing = (names: readonly string[], known: object, kind: string): Problem[] =>
    names.map((name) => [!Object.hasOwn(known, name), `${kind} ${name}: not defined`]);
  const conditions = Object.entries(service.depends_on ?? {}).flatMap(([name, { condition }]): Problem[] => {
    const other = file.services[name];
    if (other === undefined) return [[true, `service ${name}: not defined`]];
    const expected = isOneShot(other) ? 'service_completed_successfully' : 'service_healthy';
    return [[condition !== expected, `${name}: wait for ${expected}`]];
  });
  return problemsOf([
    ...missing(service.secrets ?? [], file.secrets, 'secret'),
    ...missing(
      (service.configs ?? []).map(({ source }) => source),
      file.configs,
      'config',
    ),
    ...missing(service.networks ?? [], file.networks, 'network'),
    ...missing(named, file.volumes, 'volume'),
    ...conditions,
  ]);
}

function wholeProblems({ services, networks, secrets }: ComposeFile): string[] {
  const { castellan, postgres, migrate, opa } = services;
  const granted = Object.entries(services).flatMap(([name, service]) =>
    (service.secrets ?? []).map((secret) => ({ name, secret })),
  );
  const owners = granted.filter(({ secret }) => secret === 'owner-url').map(({ name }) => name);
  const signers = granted.filter(({ secret }) => secret.endsWith('.pem')).map(({ name }) => name);
  return problemsOf([
    [[castellan, postgres, migrate, opa].includes(undefined), 'service, PostgreSQL, migration or OPA is missing'],
    [postgres?.networks?.some((name) => networks[name]?.internal !== true) !== false, 'the database has a way out'],
    [postgres?.ports !== undefined, 'the database is published'],
    [castellan?.environment?.['NODE_ENV'] !== 'development', 'NODE_ENV: production rules refuse local signers'],
    [
      Number.parseInt(castellan?.stop_grace_period ?? '', 10) < MIN_GRACE,
      'stop_grace_period is shorter than the drain',
    ],
    [castellan?.stop_grace_period === undefined, 'stop_grace_period'],
    [owners.join() !== 'migrate', "the owner's login is for migrate alone"],
    [signers.some((name) => name !== 'castellan'), 'a signing key outside the service'],
    ...Object.entries(secrets).map(
      ([name, { file }]): Problem => [
        file !== `deploy/compose/secrets/${name}`,
        `secret ${name}: not a file that setup.sh makes`,
      ],
    ),
    ...Object.keys(secrets).map(
      (name): Problem => [!granted.some(({ secret }) => secret === name), `secret ${name}: not used`],
    ),
  ]);
}

/** `${NAME:-default}` → `default`. */
function withDefaults(text = ''): string {
  return text.replace(/\$\{\w+:-([^}]*)\}/g, '$1');
}
