import { type Agents, settleTables, workspaceWithAgents } from '../support/agents.ts';
import { type Figure, figure } from '../support/figure.ts';
import { requestBytes } from '../support/http-connection.ts';
import { type BenchKms, startKms } from '../support/kms.ts';
import type { LoadResult } from '../support/load.ts';
import type { Bench, Phase } from '../support/phase.ts';
import { changedBundle, promoteAll, secondsOf, untilDone } from '../support/revalidations.ts';
import type { Service } from '../support/world.ts';

const AGENTS = { usual: 5000, full: 100_000 };
/** The size of the goal: so many in five minutes. */
const GOAL_AGENTS = 100_000;
/** Connections that start and stop agents meanwhile, each one of its own. */
const CONNECTIONS = 64;
/** As long as the slowest machine needs for all of them. */
const LONGEST_SECONDS = 900;

export const reproof: Phase = {
  name: 'reproof',
  what: 'new proofs for every governed agent through a KMS of 15 ms and 1,000/s, while others start and stop',
  run: measureReproof,
};

async function measureReproof(bench: Bench): Promise<Figure[]> {
  const { world, options } = bench;
  const count = options.full ? AGENTS.full : AGENTS.usual;
  const agents = await workspaceWithAgents(world, 'reproof', count);
  const others = await workspaceWithAgents(world, 'reproof-others', CONNECTIONS);
  bench.say(`  promoting ${count} agents`);
  await promoteAll(bench, agents);
  await settleTables(world.db);
  const kms = await startKms(bench);
  const service = await world.startServe(settingsFor(kms));
  try {
    const before = await eventsOf(bench, agents.workspaceId);
    let isOver = false;
    const starts = startAndStop(bench, service, others, () => isOver);
    const policy = `/v1/workspaces/${agents.workspaceId}/policy`;
    const answer = await service.call('POST', `${policy}/hotreload`, await changedBundle(1));
    const { id } = await untilDone(service.call, policy, answer, count);
    isOver = true;
    const { perSecond: startsPerSecond, p99 } = await starts;
    const perSecond = count / (await secondsOf(bench, id));
    const events = (await eventsOf(bench, agents.workspaceId)) - before;
    return [
      figure('reproof.perSecond', `agents with new proofs, of ${count}`, '/s', [perSecond]),
      figure('reproof.seconds', `what ${GOAL_AGENTS} of them take at that rate`, 's', [GOAL_AGENTS / perSecond]),
      figure('reproof.starts', 'starts and stops of other agents meanwhile', '/s', [startsPerSecond]),
      figure('reproof.starts.p99', 'latency of those, 99 of 100', 'ms', [p99]),
      figure('reproof.events', 'audit events for each agent', '', [events / count]),
    ];
  } finally {
    await service.stop();
    await kms.child.stop();
  }
}

function settingsFor({ url, auditKey, proofKey, env }: BenchKms): Readonly<Record<string, string>> {
  return {
    ...env,
    AUDIT_SIGNING_KEY_SOURCE: 'kms',
    AUDIT_SIGNING_KMS_KEY_ID: auditKey,
    AUDIT_SIGNER_KID: 'bench-reproof-audit',
    CASTELLAN_PROOF_SIGNING_KEY_SOURCE: 'kms',
    CASTELLAN_PROOF_SIGNING_KMS_KEY_ID: proofKey,
    CASTELLAN_PROOF_SIGNER_KID: 'bench-reproof-proof',
    CASTELLAN_KMS_ENDPOINT: url,
  };
}

/** Each connection starts its agent and stops it, again and again. */
function startAndStop(bench: Bench, service: Service, agents: Agents, isOver: () => boolean): Promise<LoadResult> {
  const requests = (verb: string) =>
    Array.from({ length: CONNECTIONS }, (_, index) => {
      const path = `/v1/workspaces/${agents.workspaceId}/agents/${agents.id(index)}/${verb}`;
      return requestBytes(service.target, 'POST', path, {});
    });
  const [start, stop] = [requests('start'), requests('stop')];
  const sent = new Array<number>(CONNECTIONS).fill(0);
  const next = (index: number) => {
    if (isOver()) return undefined;
    const turn = sent[index] ?? 0;
    sent[index] = turn + 1;
    return (turn % 2 === 0 ? start : stop)[index];
  };
  const load = { connections: CONNECTIONS, seconds: LONGEST_SECONDS, next, mustSay: '"auditEvent":{' };
  return bench.load('reproof-starts', service, load);
}

async function eventsOf({ world }: Bench, chain: string): Promise<number> {
  const { rows } = await world.db.query('SELECT seq::int AS seq FROM audit_heads WHERE chain = $1', [chain]);
  return rows[0].seq;
}
