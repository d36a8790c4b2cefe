import type { HostPort } from '../../../../config/runtime.ts';
import { newId } from '../../../../ids.ts';
import { IsolationUnavailable } from '../../../errors.ts';
import type { CommandResult, Limits } from '../../../isolation.ts';
import type { Cluster } from '../cluster.ts';
import { openSandbox } from '../sandbox.ts';
import { canaryScript, wrongIn } from './canary-script.ts';

const MIB = 1_048_576;
const LIMITS: Limits = { cpu: 1, memoryBytes: 32 * MIB, pids: 32, diskBytes: MIB };
const LIFETIME_MS = 180_000;
const COMMAND_MS = 60_000;
/** Where clouds tell an instance its secrets. */
const METADATA: HostPort = { host: '169.254.169.254', port: 80 };
const NOBODY = '00000000-0000-0000-0000-000000000000';

/** Held in memory, far more than the limit with all that is charged to it. */
const HOG_BYTES = 512 * MIB;
const HOG = `head -c ${HOG_BYTES} /dev/zero | tail -c ${HOG_BYTES} | wc -c`;
const FORKS = `i=0; while [ $i -lt ${LIMITS.pids * 4} ]; do sleep 5 & i=$((i+1)); done; echo survived`;

/**
 * Runs a pod as every other is run and looks from inside: who it is, what it reaches, and whether its limits hold. `listeners`:
 * what no pod may reach, besides metadata. Throws IsolationUnavailable, when it is ended by the signal, too.
 */
export async function checkCanary(
  cluster: Cluster,
  listeners: Readonly<Record<string, HostPort>>,
  signal: AbortSignal,
): Promise<void> {
  const targets = { metadata: METADATA, ...listeners };
  const request = {
    runId: newId(),
    workspaceId: 'castellan',
    agentId: NOBODY,
    limits: LIMITS,
    env: {},
    allowDomains: [],
    lifetimeMs: LIFETIME_MS,
  };
  const sandbox = await openSandbox(cluster, request, { kind: 'canary' });
  const late = AbortSignal.any([signal, AbortSignal.timeout(LIFETIME_MS)]);
  const run = (command: string) => sandbox.run(command, { timeoutMs: COMMAND_MS, signal: late });
  try {
    const looked = await run(canaryScript(targets));
    requireRan(looked);
    const wrong = wrongIn(looked.stdout.text, Object.keys(targets));
    if (wrong !== undefined) throw refused('kubernetes-canary', wrong, FIXES.canary);
    const forked = await run(FORKS);
    if (forked.stdout.text.includes('survived')) {
      throw refused('kubernetes-canary-processes', 'it starts more processes than it may', FIXES.processes);
    }
    const hogged = await run(HOG);
    if (hogged.result !== 'oom') {
      throw refused('kubernetes-canary-memory', `at its limit of memory it ended as ${hogged.result}`, FIXES.memory);
    }
  } finally {
    await sandbox.close();
  }
}

const FIXES = {
  setup:
    'See the pod in the namespace: its image (CASTELLAN_KUBERNETES_IMAGE), the quota, nodes with room, the RuntimeClass.',
  canary:
    'Use nodes whose runtime and network plug-in enforce what the pod asks for: Pod Security, seccomp, network policies.',
  processes: 'Set podPidsLimit on the kubelets, or use an image whose shell knows ulimit -u or -p.',
  memory: 'Use nodes that enforce limits of memory (cgroups).',
} as const;

/** Only that it was not started is the cluster's; whatever else it says is looked at. */
function requireRan({ result, problem }: CommandResult): void {
  if (result === 'ok') return;
  throw refused('kubernetes-canary', problem ?? `it ended as ${result}`, FIXES.setup);
}

function refused(check: string, observed: string, fix: string): IsolationUnavailable {
  return new IsolationUnavailable({ check, observed, fix });
}
