import { randomUUID } from 'node:crypto';
import { once } from 'node:events';

import { quoted } from '../../../src/runtime/drivers/kubernetes/scripts.ts';
import type { Isolation, Limits, Replica, Sandbox } from '../../../src/runtime/isolation.ts';
import { isMap, listed, type Manifest, member } from '../../delivery/support/kustomize.ts';
import { containerOf, isDeleting, nameOf, quantity, texts, uidOf } from './objects.ts';
import { Refusal, type Store } from './store.ts';

/** Of the node: cores, and processes of one pod. */
const [NODE_CPU, POD_PIDS] = [64, 512];
/** Programs that end by themselves are started again after so many ms; a real kubelet waits seconds. */
const RESTART_MS = 50;
const MAX_LOG = 1_048_576;
const FIRST_KILL = /^kill -9 -1\b/;

/** How this node deviates from a good one. */
export interface NodeFaults {
  /** Images that cannot be pulled. */
  readonly missingImages: Set<string>;
  /** The container goes down with the process that is out of memory, as since Kubernetes 1.28; else only the process. */
  oomKillsContainer: boolean;
  /** Ports that pods reach although the policies say no: something answers there, inside. */
  openPorts: readonly number[];
  /** Limits of memory are not those that were asked for. */
  ignoresMemory: boolean;
  /** There is room for nothing. */
  isFull: boolean;
}

export interface Kubelet {
  readonly faults: NodeFaults;
  /** Looks at a pod that is new or has changed. */
  sync(pod: Manifest): void;
  /** Ends what runs of a pod; the API server has already forgotten it, or does so afterwards. */
  kill(pod: Manifest, graceSeconds: number): Promise<void>;
  exec(
    pod: string,
    argv: readonly string[],
    stdin: string,
    onOutput: (stream: 'stdout' | 'stderr', chunk: Buffer) => void,
  ): Promise<{ readonly exitCode: number } | { readonly problem: string }>;
  log(pod: string, follow: boolean, tailLines: number, write: (chunk: Buffer) => void): () => void;
  /** The disk is full, or whatever the message says. */
  evict(pod: string, message: string): Promise<void>;
  /** Its active deadline is over. */
  expire(pod: string): Promise<void>;
  /** The node comes back after a while away: containers are started again in place. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

/** What runs of one pod. */
interface Running {
  readonly uid: string;
  sandbox?: Sandbox;
  replica?: Replica;
  exec?: AbortController;
  env: Record<string, string>;
  oomKills: number;
  restarts: number;
  ending: boolean;
  log: Buffer[];
  readonly readers: Set<(chunk: Buffer) => void>;
}

/**
 * Runs the containers of pods through the driver of this machine, so that what they do is real. Two things are not those of a
 * node: a command is in a process namespace of its own, so that a kill of everything in a pod is passed on to the others by
 * hand, and the first process of a sandbox is only said to run.
 */
export function createKubelet(store: Store, local: Isolation): Kubelet {
  const pods = new Map<string, Running>();
  const busy = new Set<Promise<unknown>>();
  const faults: NodeFaults = {
    missingImages: new Set(),
    oomKillsContainer: false,
    openPorts: [],
    ignoresMemory: false,
    isFull: false,
  };

  function later(work: Promise<unknown>): void {
    busy.add(work);
    void work.finally(() => busy.delete(work));
  }

  async function start(pod: Manifest): Promise<void> {
    const name = nameOf(pod);
    const container = containerOf(pod);
    const limits = limitsOf(pod);
    if (faults.isFull || limits.cpu > NODE_CPU) return unschedulable(name);
    scheduled(name);
    const image = String(container['image']);
    if (faults.missingImages.has(image)) {
      setState(name, { waiting: { reason: 'ErrImagePull', message: `pull access denied for ${image}` } }, 'Pending');
      setState(
        name,
        { waiting: { reason: 'ImagePullBackOff', message: `Back-off pulling image "${image}"` } },
        'Pending',
      );
      return;
    }
    const running = pods.get(name);
    if (running === undefined) return;
    running.env = envOf(container);
    if (member(pod, 'spec', 'restartPolicy') === 'Always') return launch(pod, running, limits);
    const ids = { runId: randomUUID(), workspaceId: 'node', agentId: randomUUID() };
    running.sandbox = await local.openSandbox({
      ...ids,
      limits,
      env: running.env,
      allowDomains: [],
      lifetimeMs: 600_000,
    });
    setState(name, { running: { startedAt: new Date().toISOString() } }, 'Running');
  }

  async function launch(pod: Manifest, running: Running, limits: Limits): Promise<void> {
    const name = nameOf(pod);
    const container = containerOf(pod);
    const argv = [...listed(container['command']), ...listed(container['args'])].map(String);
    const command = argv.map((argument) => expanded(argument, running.env));
    const replica = await local.agents;
    if (replica.kind !== 'local') throw new TypeError('the driver of this machine runs processes');
    running.replica = await replica.launch({
      workspaceId: 'node',
      agentId: randomUUID(),
      launchId: randomUUID(),
      command,
      env: running.env,
      secrets: secretsOf(pod),
      limits,
      allowDomains: [],
      onOutput: (_stream, chunk) => write(running, Buffer.from(chunk)),
    });
    setState(name, { running: { startedAt: new Date().toISOString() } }, 'Running', running.restarts);
    later(
      running.replica.exited.then((exit) => again(pod, running, limits, exit.exitCode ?? 137, exit.cause === 'oom')),
    );
  }

  /** restartPolicy Always. */
  async function again(
    pod: Manifest,
    running: Running,
    limits: Limits,
    exitCode: number,
    isOom: boolean,
  ): Promise<void> {
    const name = nameOf(pod);
    if (running.ending || pods.get(name) !== running) return;
    const reason = isOom ? 'OOMKilled' : exitCode === 0 ? 'Completed' : 'Error';
    const terminated = { exitCode: isOom ? 137 : exitCode, reason, finishedAt: new Date().toISOString() };
    running.restarts += 1;
    setState(name, { waiting: { reason: 'CrashLoopBackOff' } }, 'Running', running.restarts, { terminated });
    await new Promise((resolve) => setTimeout(resolve, RESTART_MS));
    if (!running.ending && pods.get(name) === running) await launch(pod, running, limits);
  }

  function write(running: Running, chunk: Buffer): void {
    running.log.push(chunk);
    while (running.log.reduce((sum, { length }) => sum + length, 0) > MAX_LOG) running.log.shift();
    for (const reader of running.readers) reader(chunk);
  }

  async function kill(pod: Manifest, graceSeconds: number): Promise<void> {
    const name = nameOf(pod);
    const running = pods.get(name);
    if (running?.uid !== uidOf(pod)) return;
    running.ending = true;
    pods.delete(name);
    running.exec?.abort();
    await running.replica?.stop(graceSeconds * 1000);
    await running.sandbox?.close();
  }

  async function fail(name: string, status: Manifest): Promise<void> {
    const pod = store.get('pods', name);
    if (pod === undefined) return;
    store.patch('pods', name, { status: { phase: 'Failed', ...status } });
    await kill(pod, 0);
  }

  /** The container is gone with its out-of-memory kill. */
  function oomKilled(name: string): void {
    const terminated = { exitCode: 137, reason: 'OOMKilled', finishedAt: new Date().toISOString() };
    const pod = store.get('pods', name);
    setState(name, { terminated }, 'Failed');
    if (pod !== undefined) later(kill(pod, 0));
  }

  function setState(name: string, state: Manifest, phase: string, restartCount = 0, lastState: Manifest = {}): void {
    const ready = state['running'] !== undefined;
    const before = listed(member(store.get('pods', name), 'status', 'containerStatuses'))[0];
    const last = Object.keys(lastState).length > 0 ? lastState : member(before, 'lastState');
    const status = { name: 'main', ready, restartCount, state, ...(last === undefined ? {} : { lastState: last }) };
    store.patch('pods', name, { status: { phase, containerStatuses: [status] } });
  }

  function scheduled(name: string): void {
    const conditions = [{ type: 'PodScheduled', status: 'True' }];
    store.patch('pods', name, { spec: { nodeName: 'node-1' }, status: { phase: 'Pending', conditions } });
  }

  function unschedulable(name: string): void {
    const message = '0/1 nodes are available: 1 Insufficient cpu.';
    const conditions = [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message }];
    store.patch('pods', name, { status: { phase: 'Pending', conditions } });
  }

  function limitsOf(pod: Manifest): Limits {
    const limit = (name: string) => quantity(member(containerOf(pod), 'resources', 'limits', name));
    const dirs = listed(member(pod, 'spec', 'volumes')).flatMap((volume) => {
      const dir = member(volume, 'emptyDir');
      return isMap(dir)
        ? [{ name: member(volume, 'name'), size: quantity(dir['sizeLimit']), medium: dir['medium'] }]
        : [];
    });
    const inMemory = dirs.filter(({ medium }) => medium === 'Memory').reduce((sum, { size }) => sum + size, 0);
    return {
      cpu: limit('cpu'),
      // The driver of this machine adds them again.
      memoryBytes: faults.ignoresMemory ? 2 ** 40 : limit('memory') - inMemory,
      pids: POD_PIDS,
      diskBytes: dirs.find(({ name }) => name === 'workspace')?.size ?? Number.NaN,
    };
  }

  function envOf(container: Manifest): Record<string, string> {
    return Object.fromEntries(
      listed(container['env']).map((variable) => {
        const from = member(variable, 'valueFrom', 'secretKeyRef');
        const name = String(member(variable, 'name'));
        if (from === undefined) return [name, expanded(String(member(variable, 'value')), {})];
        return [name, secretText(String(member(from, 'name')), String(member(from, 'key')))];
      }),
    );
  }

  function secretText(name: string, key: string): string {
    return Buffer.from(texts(store.get('secrets', name)?.['data'])[key] ?? '', 'base64').toString();
  }

  function secretsOf(pod: Manifest): Map<string, Buffer> {
    return new Map(
      listed(member(pod, 'spec', 'volumes')).flatMap((volume) => {
        const secret = String(member(volume, 'secret', 'secretName'));
        return listed(member(volume, 'secret', 'items')).map((item): [string, Buffer] => [
          String(member(item, 'path')),
          Buffer.from(secretText(secret, String(member(item, 'key')))),
        ]);
      }),
    );
  }

  const kubelet: Kubelet = {
    faults,
    sync: (pod) => {
      const name = nameOf(pod);
      const isGated = listed(member(pod, 'spec', 'schedulingGates')).length > 0;
      if (isGated || isDeleting(pod) || pods.has(name)) return;
      const phase = member(pod, 'status', 'phase');
      if (phase === 'Failed' || phase === 'Succeeded') return;
      pods.set(name, {
        uid: uidOf(pod),
        env: {},
        oomKills: 0,
        restarts: 0,
        ending: false,
        log: [],
        readers: new Set(),
      });
      later(
        start(pod).catch((error: unknown) => {
          setState(name, { waiting: { reason: 'CreateContainerError', message: String(error) } }, 'Pending');
        }),
      );
    },
    kill,
    exec: async (name, argv, stdin, onOutput) => {
      const running = pods.get(name);
      if (running?.sandbox === undefined) throw new Refusal(400, 'BadRequest', `container not found ("main")`);
      const isKill = FIRST_KILL.test(argv[2] ?? '');
      if (isKill) running.exec?.abort();
      const stop = new AbortController();
      running.exec = stop;
      const shell = argv.map(quoted).join(' ');
      // By exec: no shell in between, which a kill of everything would end.
      const input = stdin === '' ? `exec ${shell} < /dev/null` : `printf %s ${quoted(stdin)} | ${shell}`;
      const command = `${answering(faults.openPorts)}${input}`;
      if (isKill) onOutput('stdout', Buffer.from(`oom_kill ${running.oomKills}\n`));
      const done = await running.sandbox.run(command, { timeoutMs: 600_000, signal: stop.signal, onOutput });
      if (done.result === 'output_limit') {
        // The driver of this machine ends what a kubelet lets write on, until it is killed.
        onOutput('stdout', Buffer.alloc(MAX_LOG));
        if (!stop.signal.aborted) await once(stop.signal, 'abort');
      }
      if (done.result === 'oom') {
        running.oomKills += 1;
        if (faults.oomKillsContainer) {
          oomKilled(name);
          return { exitCode: 137 };
        }
      }
      if (done.result === 'setup_failed') return { problem: done.problem ?? 'OCI runtime exec failed' };
      return { exitCode: done.exitCode ?? 137 };
    },
    log: (name, follow, tailLines, send) => {
      const running = pods.get(name);
      if (running === undefined) throw new Refusal(400, 'BadRequest', 'container "main" is waiting to start');
      const text = Buffer.concat(running.log).toString('latin1');
      const lines = text.split('\n');
      const ended = lines.at(-1) === '' ? 1 : 0;
      send(Buffer.from(lines.slice(Math.max(0, lines.length - ended - tailLines)).join('\n'), 'latin1'));
      if (follow) running.readers.add(send);
      return () => running.readers.delete(send);
    },
    evict: (name, message) => fail(name, { reason: 'Evicted', message }),
    expire: (name) =>
      fail(name, {
        reason: 'DeadlineExceeded',
        message: 'Pod was active on the node longer than the specified deadline',
      }),
    restart: async () => {
      await Promise.all([...pods.values()].map(({ replica }) => replica?.stop(0)));
    },
    close: async () => {
      for (const pod of store.list('pods')) await kill(pod, 0);
      await Promise.all([...busy]);
    },
  };
  return kubelet;
}

/** As Kubernetes does with arguments and values: $(NAME) is a variable that there is, $$ a dollar. */
function expanded(text: string, env: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\$\$|\$\(([A-Za-z_][A-Za-z0-9_]*)\)/g, (found, name) =>
    found === '$$' ? '$' : (env[name] ?? found),
  );
}

/** Stands for what a network without policies leads to: the sandbox has only its own loopback. */
function answering(ports: readonly number[]): string {
  const listen = (port: number) => `socat TCP-LISTEN:${port},bind=127.0.0.1,fork SYSTEM:true > /dev/null 2>&1 &`;
  return ports.length === 0 ? '' : `${ports.map(listen).join(' ')} sleep 0.3; `;
}
