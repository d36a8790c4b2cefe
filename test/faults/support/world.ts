import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runVerification } from '../../../src/audit/verify/verification.ts';
import { generateEd25519 } from '../../../src/signers/drivers/local/ed25519.ts';
import { type TestDatabase, testDatabase } from '../../support/database.ts';
import { LOGINS, withClient } from '../../support/postgres.ts';
import { until } from '../../support/process.ts';
import type { Evidence, ProcessEnd, Sample } from '../check/evidence.ts';
import { readFacts } from '../check/facts.ts';
import { type FaultClient, faultClient } from './client.ts';
import type { Harness } from './harness.ts';
import { History } from './history.ts';
import { type Instance, type LaunchOptions, launch } from './launch.ts';
import { type Canaries, type Load, startLoad, type Target } from './load.ts';
import { takeSample } from './metrics.ts';
import { type DatabaseProxy, startProxy } from './proxy.ts';
import { type Random, seeded } from './random.ts';

const WORKSPACES = ['demo', 'other'] as const;
export const POOL_SIZE = 8;
/** Callers at once, unless a scenario says otherwise. */
const CLIENTS = 6;
/** ms; recovery of the database, of connections, and of what was not signed. */
const RECOVERED_WITHIN_MS = 30_000;

export interface BootOptions {
  /** Instead of the run's proxy: straight to the database. */
  readonly direct?: boolean;
  readonly poolSize?: number;
  /** Settings of this instance alone. */
  readonly settings?: Readonly<Record<string, string>>;
  /** The port of an earlier instance. */
  readonly apiPort?: number;
  readonly env?: LaunchOptions['env'];
  readonly output?: number;
}

/** One run: a database of its own behind a proxy, instances, clients, and everything that is kept to be judged. */
export interface World {
  readonly seed: number;
  readonly random: Random;
  readonly database: TestDatabase;
  readonly proxy: DatabaseProxy;
  readonly history: History;
  readonly client: FaultClient;
  readonly canaries: Canaries;
  boot(options?: BootOptions): Promise<Instance>;
  load(target: (client: number) => Target, clients?: number): Load;
  /** Ready, with nothing waiting: what a fault disturbed has healed by itself. */
  recovered(instance: Instance): Promise<void>;
  /** Looks at every instance and the database; `load` must have ended. */
  evidence(): Promise<Evidence>;
  /** Something that held only for this run and is worth saying. */
  note(text: string): void;
  readonly notes: readonly string[];
}

/** What a run takes away with itself, last first. */
export class Cleanup {
  readonly #steps: (() => unknown)[] = [];

  teardown(step: () => unknown): void {
    this.#steps.push(step);
  }

  async run(): Promise<void> {
    for (const step of this.#steps.reverse()) await step();
  }
}

export async function openWorld(
  harness: Harness,
  clean: Cleanup,
  options: { seed: number; serverUrl?: string | undefined },
): Promise<World> {
  const { seed } = options;
  const random = seeded(seed);
  const serverUrl = options.serverUrl ?? (await harness.serverUrl());
  const database = await testDatabase(clean, { serverUrl });
  const { hostname, port } = new URL(serverUrl);
  const proxy = await startProxy({ host: hostname, port: Number(port) });
  clean.teardown(() => proxy.close());
  const { signers, keys } = await newSigners(clean);
  const canaries = newCanaries();
  const secrets = secretsOf(keys, canaries);
  const history = new History();
  const client = faultClient(harness.certsDir, { marks: canaries.marks, secrets });
  clean.teardown(() => client.close());
  const instances: Instance[] = [];
  const ends: ProcessEnd[] = [];
  const samples: Sample[] = [];
  const notes: string[] = [];
  let keysHonoured: boolean | undefined;

  function settingsOf(boot: BootOptions): Record<string, string> {
    const through = (url: string) => (boot.direct === true ? url : proxy.through(url));
    return {
      NODE_ENV: 'test',
      DATABASE_URL: through(database.appUrl),
      CASTELLAN_DATABASE_SYSTEM_URL: through(database.systemUrl),
      CASTELLAN_DATABASE_POOL_SIZE: String(boot.poolSize ?? POOL_SIZE),
      CASTELLAN_API_PORT: String(boot.apiPort ?? 0),
      CASTELLAN_OPS_PORT: '0',
      CASTELLAN_RUNTIME_DRIVER: 'off',
      CASTELLAN_API_TLS_CERT_FILE: join(harness.certsDir, 'server.crt'),
      CASTELLAN_API_TLS_KEY_FILE: join(harness.certsDir, 'server.key'),
      CASTELLAN_API_TLS_CLIENT_CA_FILE: join(harness.certsDir, 'ca.crt'),
      CASTELLAN_IDENTITY_MAP_FILE: join(harness.certsDir, 'identity-map.json'),
      CASTELLAN_AUDIT_SIGNING_KEY_FILE: signers.audit,
      CASTELLAN_PROOF_SIGNING_KEY_FILE: signers.proof,
      CASTELLAN_LOG_LEVEL: 'info',
      ...boot.settings,
    };
  }

  async function boot(how: BootOptions = {}): Promise<Instance> {
    const name = `instance-${instances.length + 1}`;
    const { env = {}, output } = how;
    const instance = await launch({
      name,
      settings: settingsOf(how),
      workspaces: WORKSPACES,
      env: { NODE_COMPILE_CACHE: harness.compileCache, ...env },
      ...(output === undefined ? {} : { output }),
    });
    instances.push(instance);
    void instance.exited.then(({ code, signal }) => {
      ends.push({ instance: name, expected: instance.endExpected, code, signal });
    });
    clean.teardown(() => instance.kill());
    samples.push(await takeSample(instance, 'booted'));
    keysHonoured ??= await honoursKeys(client, instance);
    return instance;
  }

  return {
    seed,
    random,
    database,
    proxy,
    history,
    client,
    canaries,
    notes,
    note: (text) => notes.push(text),
    boot,
    load: (target, clients = CLIENTS) => {
      const keys = keysHonoured === true;
      const dice = random.fork('load');
      const { thinkMs } = harness;
      const load = startLoad({ client, history, canaries, random: dice, target, keys, thinkMs }, clients);
      clean.teardown(() => load.stop());
      return load;
    },
    recovered: (instance) =>
      until(
        `${instance.name} ready`,
        async () => (await fetch(`${instance.opsUrl}/readyz`).catch(() => undefined))?.status === 200,
        RECOVERED_WITHIN_MS,
      ),
    evidence: async () => {
      for (const instance of instances) {
        if (instance.child.exitCode !== null || instance.child.signalCode !== null) continue;
        samples.push(await takeSample(instance, 'settled'));
      }
      if (keysHonoured !== true) notes.push('the service ignores Idempotency-Key: nothing was sent twice');
      const facts = await withClient(database.superuserUrl, readFacts);
      const { verdict, findings } = await verified(database.superuserUrl);
      return {
        facts,
        audit: { verdict, findings: findings.map((one) => `${one.chain}#${one.seq} ${one.class} ${one.detail}`) },
        calls: history.calls,
        samples,
        logs: instances.map((instance) => ({ instance: instance.name, text: instance.log() })),
        ends,
        secrets,
        unlogged: [
          { name: 'instructions of a spec', value: canaries.instructions },
          { name: 'reason of a stop', value: canaries.reason },
          ...canaries.marks.map((mark) => ({ name: `name of an agent of ${mark.workspaceId}`, value: mark.value })),
        ],
      };
    },
  };
}

/** What `castellan audit verify` says, without its threads: many runs are short ones. */
function verified(databaseUrl: string) {
  const request = { databaseUrl, exportPath: undefined, signersPath: undefined, chain: undefined, from: 1, workers: 1 };
  return runVerification(request, () => undefined);
}

/** True when a creation sent twice under one key is answered as a replay. */
async function honoursKeys(client: FaultClient, { apiUrl }: Instance): Promise<boolean> {
  const headers = { 'idempotency-key': `probe-${randomBytes(8).toString('hex')}` };
  const body = { spec: { name: 'probe' } };
  const path = '/v1/workspaces/demo/agents';
  const send = () => client.send(apiUrl, { who: 'operator', workspaceId: 'demo', method: 'POST', path, body, headers });
  await send();
  const again = await send();
  return again.kind === 'answered' && again.replayed;
}

function newCanaries(): Canaries {
  const value = () => randomBytes(12).toString('hex');
  return {
    marks: WORKSPACES.map((workspaceId) => ({ workspaceId, value: value() })),
    instructions: value(),
    reason: value(),
    header: value(),
  };
}

function secretsOf(keys: readonly string[], canaries: Canaries): { name: string; value: string }[] {
  return [
    { name: 'password of the app login', value: LOGINS.app.password },
    { name: 'password of the system login', value: LOGINS.system.password },
    { name: 'cookie', value: canaries.header },
    ...keys.map((value, index) => ({ name: `signing key ${index + 1}`, value })),
  ];
}

/** Two key files, and the secrets in them. */
async function newSigners(clean: Cleanup): Promise<{ signers: { audit: string; proof: string }; keys: string[] }> {
  const dir = await mkdtemp(join(tmpdir(), 'castellan-faults-keys-'));
  clean.teardown(() => rm(dir, { recursive: true, force: true }));
  const keys: string[] = [];
  const signer = async (name: string) => {
    const keyFile = join(dir, `${name}.pem`);
    const pem = generateEd25519().privateKeyPem;
    await writeFile(keyFile, pem, { mode: 0o600 });
    // The one line of base64 between the lines of the PEM.
    keys.push(pem.split('\n')[1] ?? '');
    return keyFile;
  };
  return { signers: { audit: await signer('audit'), proof: await signer('proof') }, keys };
}
