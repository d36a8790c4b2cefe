import { type Call, isDone } from '../support/history.ts';
import { nameOf } from './answers.ts';
import type { Evidence, Violation } from './evidence.ts';

const MEBIBYTE = 1024 * 1024;
/** Above what an instance had when it was ready: caches, JIT, buffers of a burst. What leaks outgrows it in a long run. */
const MAX_GROWTH_BYTES = 256 * MEBIBYTE;
const MAX_RESIDENT_BYTES = 768 * MEBIBYTE;
/** s; a shared machine of two cores takes this long from a process now and then, a blocked event loop for ever. */
const MAX_LOOP_DELAY = 3;
/** Sockets and files above those at boot: the pools of the database, and clients that keep their connection. */
const MAX_OPEN_FILES_GROWTH = 64;

/** Which workspaces the development identities belong to; the others of the load may use all. */
const OWN: Readonly<Record<string, string>> = { operator: 'demo', orchestrator: 'demo', outsider: 'other' };

/** I5: nobody was shown, or changed, what is another workspace's. */
export function tenants({ calls, facts }: Evidence): Violation[] {
  const found: string[] = [];
  const byTrace = new Map(calls.map((call) => [call.traceId, call]));
  for (const call of calls) {
    if (call.outcome.kind !== 'answered') continue;
    const foreign = call.outcome.leaks.filter((leak) => leak.startsWith('mark '));
    if (foreign.length > 0) found.push(`${nameOf(call)} was shown ${foreign.join(', ')}`);
    const { status } = call.outcome;
    const allowed = isOwn(call) || status === 404 || status === 429 || status >= 500;
    if (!allowed) found.push(`${nameOf(call)} was not refused with 404`);
  }
  for (const { chain, seq, type, traceId } of facts.events) {
    const call = byTrace.get(traceId ?? '');
    if (call === undefined) continue;
    const right = isOwn(call) ? chain === call.workspaceId : chain === '_system' && type === 'access.denied';
    if (!right) found.push(`${nameOf(call)} left ${chain}#${seq} ${type}`);
  }
  return found.map((what) => ({ invariant: 'I5', what }));
}

function isOwn({ who, workspaceId }: Call): boolean {
  const own = OWN[who];
  return own === undefined || own === workspaceId;
}

/** I7, the second half: what a replica shows of its policy never goes back. */
export function forward({ calls, facts }: Evidence): Violation[] {
  const found: string[] = [];
  const hashes = new Set(facts.policies.map(({ workspaceId, hash }) => `${workspaceId} ${hash}`));
  const shown = calls.filter(({ operation, outcome }) => operation === 'getPolicySnapshot' && isDone(outcome));
  for (const call of shown) {
    if (call.outcome.kind !== 'answered' || hashes.has(`${call.workspaceId} ${call.outcome.policyHash}`)) continue;
    found.push(`${nameOf(call)} was shown ${call.outcome.policyHash}, which was never stored`);
  }
  for (const group of Map.groupBy(shown, ({ instance, workspaceId }) => `${instance} ${workspaceId}`).values()) {
    found.push(...backwards(group));
  }
  return found.map((what) => ({ invariant: 'I7', what }));
}

/** Only calls one after the other are comparable: the highest revision that had been told when a call was sent. */
function backwards(group: readonly Call[]): string[] {
  const ended = group.toSorted((a, b) => a.endedAt - b.endedAt);
  const found: string[] = [];
  let highest = 0;
  let next = 0;
  for (const call of group.toSorted((a, b) => a.sentAt - b.sentAt)) {
    for (let one = ended[next]; one !== undefined && one.endedAt <= call.sentAt; one = ended[next]) {
      highest = Math.max(highest, revisionOf(one));
      next += 1;
    }
    if (revisionOf(call) < highest)
      found.push(`${nameOf(call)} was shown revision ${revisionOf(call)} after ${highest}`);
  }
  return found;
}

function revisionOf({ outcome }: Call): number {
  return outcome.kind === 'answered' ? (outcome.revision ?? 0) : 0;
}

/** I8: what an instance holds stays bounded, and what was waiting is gone when the load is. */
export function bounds({ samples }: Evidence): Violation[] {
  const booted = new Map(samples.filter(({ moment }) => moment === 'booted').map((one) => [one.instance, one]));
  const found: string[] = [];
  for (const sample of samples) {
    const said = (what: string) => found.push(`${sample.instance}, ${sample.moment}: ${what}`);
    const start = booted.get(sample.instance) ?? sample;
    const resident = Math.round(sample.residentBytes / MEBIBYTE);
    if (sample.residentBytes > MAX_RESIDENT_BYTES) said(`${resident} MiB resident`);
    if (sample.residentBytes - start.residentBytes > MAX_GROWTH_BYTES) said(`grew to ${resident} MiB resident`);
    if (sample.openFiles - start.openFiles > MAX_OPEN_FILES_GROWTH) said(`${sample.openFiles} open files`);
    if (sample.loopDelayMax > MAX_LOOP_DELAY) said(`the event loop stood still for ${sample.loopDelayMax} s`);
    if (sample.droppedEvents > 0) said(`${sample.droppedEvents} audit events dropped`);
    if (sample.moment !== 'settled') continue;
    if (sample.queueDepth > 0) said(`${sample.queueDepth} units still wait for their chain`);
    if (sample.waitingForPool > 0) said(`${sample.waitingForPool} still wait for a connection`);
  }
  return found.map((what) => ({ invariant: 'I8', what }));
}

/** I9: no secret anywhere, and nothing of a body in a log. */
export function secrets({ facts, calls, logs, secrets: hidden, unlogged }: Evidence): Violation[] {
  const found: string[] = [];
  for (const { instance, text } of logs) {
    for (const { name, value } of [...hidden, ...unlogged]) {
      if (text.includes(value)) found.push(`the log of ${instance} holds ${name}`);
    }
  }
  for (const event of facts.events) {
    const text = JSON.stringify([event.actor, event.payload]);
    for (const { name, value } of hidden) {
      if (text.includes(value)) found.push(`${event.chain}#${event.seq} ${event.type} holds ${name}`);
    }
  }
  for (const call of calls) {
    if (call.outcome.kind !== 'answered') continue;
    for (const leak of call.outcome.leaks) if (leak.startsWith('secret ')) found.push(`${nameOf(call)} holds ${leak}`);
  }
  return found.map((what) => ({ invariant: 'I9', what }));
}

/** I10: nothing that a client sends ends a process; every end was ours. */
export function ends(evidence: Evidence): Violation[] {
  return evidence.ends
    .filter(({ expected }) => !expected)
    .map(({ instance, code, signal }) => ({
      invariant: 'I10',
      what: `${instance} ended by itself with ${signal ?? code}: ${tailOf(evidence, instance)}`,
    }));
}

function tailOf({ logs }: Evidence, instance: string): string {
  return (logs.find((log) => log.instance === instance)?.text ?? '')
    .trim()
    .split('\n')
    .slice(-3)
    .join(' | ')
    .slice(0, 2000);
}
