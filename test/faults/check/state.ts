import type { Evidence, Violation } from './evidence.ts';
import { type EventFact, type Facts, renewedTogether, textOf } from './facts.ts';
import { at } from './launches.ts';
import { differences, type Replay } from './replay.ts';

const SYSTEM_CHAIN = '_system';

/** I1: what the independent verifier says, and one head per chain that names its last event. */
export function chains({ facts, audit }: Evidence): Violation[] {
  const found: string[] = [];
  if (audit.verdict !== 'ok') found.push(`the verifier says ${audit.verdict}: ${audit.findings.join('; ')}`);
  const tails = new Map<string, EventFact>();
  for (const event of facts.events) {
    const before = tails.get(event.chain)?.seq ?? 0;
    if (event.seq !== before + 1) found.push(`${event.chain}: ${event.seq} follows ${before}`);
    tails.set(event.chain, event);
  }
  const heads = new Map(facts.heads.map((head) => [head.chain, head]));
  if (heads.size !== facts.heads.length) found.push('a chain has two heads');
  for (const chain of new Set([...tails.keys(), ...heads.keys()])) {
    const [head, tail] = [heads.get(chain), tails.get(chain)];
    if (head?.seq === (tail?.seq ?? 0) && (tail === undefined || head.hash === tail.hash)) continue;
    found.push(`${chain}: the head is at ${head?.seq ?? 'nothing'}, the last event is ${tail?.seq ?? 'none'}`);
  }
  for (const workspace of facts.workspaces) {
    if (!tails.has(workspace)) found.push(`the workspace ${workspace} has no chain`);
  }
  return found.map((what) => ({ invariant: 'I1', what }));
}

/** I2: every row of state is what its events say, and every event has the row it speaks of. */
export function state({ facts }: Evidence, replayed: Replay): Violation[] {
  const found = [
    ...agents(facts, replayed),
    ...totals(facts),
    ...pairs(facts),
    ...decisions(facts),
    ...policyHeads(facts, replayed),
    ...switches(facts, replayed),
  ];
  return found.map((what) => ({ invariant: 'I2', what }));
}

function agents(facts: Facts, replayed: Replay): string[] {
  const found: string[] = [];
  const rows = new Map(facts.agents.map((row) => [`${row.workspaceId}/${row.id}`, row]));
  for (const [name, row] of rows) {
    const expected = replayed.agents.get(name);
    if (expected === undefined || expected.deleted)
      found.push(`agent ${name} is there without an event of its creation`);
    else found.push(...differences(row, expected).map((difference) => `agent ${name}: ${difference}`));
  }
  for (const [name, expected] of replayed.agents) {
    if (!expected.deleted && !rows.has(name)) found.push(`agent ${name} has events and no row`);
  }
  return found;
}

/** Rows that are kept beside the agents. */
function totals(facts: Facts): string[] {
  const found: string[] = [];
  const counted = new Map<string, number>();
  for (const { workspaceId, mode, status } of facts.agents) {
    const key = `${workspaceId} ${mode} ${status}`;
    counted.set(key, (counted.get(key) ?? 0) + 1);
  }
  const kept = new Map(facts.counts.map(({ workspaceId, mode, status, n }) => [`${workspaceId} ${mode} ${status}`, n]));
  for (const key of new Set([...counted.keys(), ...kept.keys()])) {
    const [is, says] = [counted.get(key) ?? 0, kept.get(key) ?? 0];
    if (is !== says) found.push(`agent_counts says ${says} for ${key}, there are ${is}`);
  }
  const listed = new Set(facts.directory.map(({ workspaceId, id }) => `${workspaceId}/${id}`));
  for (const { workspaceId, id } of facts.agents) {
    if (!listed.delete(`${workspaceId}/${id}`)) found.push(`agent ${workspaceId}/${id} is not in the directory`);
  }
  for (const name of listed) found.push(`the directory lists ${name}, which is not there`);
  return found;
}

interface Pair {
  readonly name: string;
  readonly events: readonly string[];
  /** What identifies the row, or rows, from the event. */
  readonly idOf: (event: EventFact) => string | readonly string[];
  readonly rows: (facts: Facts) => readonly string[];
}

const agentOf = ({ payload }: EventFact) => textOf(payload, 'agentId');
const idsOf = (rows: readonly { workspaceId: string; id: string }[]) =>
  rows.map((row) => `${row.workspaceId} ${row.id}`);

/** Rows and events that come in pairs, exactly one for one. */
const PAIRS: readonly Pair[] = [
  {
    name: 'workspace',
    events: ['workspace.created'],
    idOf: ({ chain }) => chain,
    rows: (facts) => facts.workspaces.map((id) => `${id} ${id}`),
  },
  {
    name: 'spec',
    events: ['agent.created', 'agent.forked', 'agent.updated'],
    idOf: (event) => `${agentOf(event)} ${String(event.payload['specVersion'])} ${textOf(event.payload, 'specHash')}`,
    rows: (facts) => facts.specs.map((row) => `${row.workspaceId} ${row.id} ${row.version} ${row.specHash}`),
  },
  {
    name: 'template version',
    events: ['template.created', 'template.updated'],
    idOf: ({ payload }) =>
      `${textOf(payload, 'templateId')} ${String(payload['version'])} ${textOf(payload, 'configHash')}`,
    rows: (facts) => facts.templates.map((row) => `${row.workspaceId} ${row.id} ${row.version} ${row.configHash}`),
  },
  {
    name: 'promotion',
    events: ['promotion.approved', 'promotion.denied', 'promotion.rejected', 'promotion.lapsed'],
    idOf: ({ type, payload }) => `${textOf(payload, 'promotionId')} ${type.slice('promotion.'.length)}`,
    rows: (facts) =>
      facts.promotions
        .filter(({ state }) => state !== 'pending')
        .map((row) => `${row.workspaceId} ${row.id} ${row.state}`),
  },
  {
    name: 'promotion that was asked for',
    events: ['promotion.requested'],
    idOf: ({ payload }) => textOf(payload, 'promotionId'),
    rows: (facts) => idsOf(facts.promotions.filter(({ requested }) => requested)),
  },
  {
    name: 'approval',
    events: ['promotion.approval.given'],
    idOf: ({ payload, actor }) => `${textOf(payload, 'promotionId')} ${String(payload['approvals'])} ${actor}`,
    rows: (facts) => facts.approvals.map((row) => `${row.workspaceId} ${row.id} ${row.position} ${row.approver}`),
  },
  {
    name: 'proof',
    events: ['proof.issued', 'proof.renewed', 'proof.mass.renewed'],
    idOf: ({ type, payload }) =>
      type === 'proof.mass.renewed'
        ? renewedTogether(payload).map((one) => textOf(one, 'proofId'))
        : textOf(payload, 'proofId'),
    rows: (facts) => idsOf(facts.proofs),
  },
  {
    name: 'statement over several agents',
    events: ['proof.mass.renewed'],
    idOf: ({ payload }) => textOf(payload, 'statementDigest'),
    rows: (facts) => idsOf(facts.statements),
  },
  {
    name: 'revalidation',
    events: ['revalidation.requested'],
    idOf: ({ payload }) => textOf(payload, 'revalidationId'),
    // A renewal asks nobody and is no event of its own; its proofs are.
    rows: (facts) => idsOf(facts.revalidations.filter(({ cause }) => cause !== 'renewal')),
  },
  {
    name: 'signer',
    events: ['signer.registered'],
    idOf: ({ payload }) => textOf(payload, 'signerId'),
    rows: (facts) => facts.signers.map(({ id }) => `${SYSTEM_CHAIN} ${id}`),
  },
  {
    name: 'revoked signer',
    events: ['signer.revoked'],
    idOf: ({ payload }) => textOf(payload, 'signerId'),
    rows: (facts) => facts.signers.filter(({ revoked }) => revoked).map(({ id }) => `${SYSTEM_CHAIN} ${id}`),
  },
];

function pairs(facts: Facts): string[] {
  return PAIRS.flatMap(({ name, events, idOf, rows }) => {
    const told = facts.events
      .filter(({ type }) => events.includes(type))
      .flatMap((one) => [idOf(one)].flat().map((id) => `${one.chain} ${id}`));
    return unpaired(name, told, rows(facts));
  });
}

/** Ids that are not exactly once on each side. */
function unpaired(name: string, told: readonly string[], rows: readonly string[]): string[] {
  const events = new Map<string, number>();
  for (const id of told) events.set(id, (events.get(id) ?? 0) + 1);
  const found: string[] = [];
  for (const id of rows) {
    if (!events.delete(id)) found.push(`${name} ${id} is there without its event`);
  }
  for (const [id] of events) found.push(`the event of ${name} ${id} has no row`);
  for (const id of told) if (told.indexOf(id) !== told.lastIndexOf(id)) found.push(`two events of ${name} ${id}`);
  return found;
}

/** The ledger and the events, both ways. */
function decisions(facts: Facts): string[] {
  const found: string[] = [];
  const rows = new Map(facts.decisions.map((row) => [`${row.workspaceId} ${row.id}`, row]));
  for (const event of facts.events) {
    if (event.payload['decisionId'] === undefined) continue;
    const key = `${event.chain} ${textOf(event.payload, 'decisionId')}`;
    const row = rows.get(key);
    if (row === undefined) {
      found.push(`${at(event)} has no row in the ledger`);
      continue;
    }
    rows.delete(key);
    const effect = effectOf(event);
    const same =
      row.auditSeq === event.seq &&
      row.effect === effect &&
      row.agentId === agentOf(event) &&
      row.policyHash === textOf(event.payload, 'policyHash');
    if (!same) found.push(`${at(event)} and its row in the ledger, ${row.effect} at ${row.auditSeq}, differ`);
  }
  for (const key of rows.keys()) found.push(`the decision ${key} has no event`);
  return found;
}

function effectOf({ type }: EventFact): string {
  if (type === 'promotion.requested') return 'REQUIRE_APPROVAL';
  return type.endsWith('.denied') ? 'DENY' : 'ALLOW';
}

function switches(facts: Facts, replayed: Replay): string[] {
  const rows = facts.switches.map(({ workspaceId, id }) => `${workspaceId}/${id}`);
  const unsaid = rows.filter((name) => !replayed.switches.has(name));
  const lost = [...replayed.switches].filter((name) => !rows.includes(name));
  return [
    ...unsaid.map((name) => `the kill switch ${name} is engaged without an event`),
    ...lost.map((name) => `the kill switch ${name} is not there`),
  ];
}

function policyHeads(facts: Facts, replayed: Replay): string[] {
  const found: string[] = [];
  const heads = new Map(facts.policyHeads.map((head) => [head.workspaceId, head]));
  for (const workspace of facts.workspaces) {
    const [head, told] = [heads.get(workspace), replayed.policies.get(workspace)];
    if (head?.hash !== told?.hash || head?.activationSeq !== told?.seq) {
      found.push(
        `${workspace}: the policy head is ${head?.hash} of ${head?.activationSeq}, by the events ${told?.hash}`,
      );
    }
  }
  const activated = new Set(
    facts.events
      .filter(({ type }) => type.startsWith('policy.'))
      .map(({ chain, payload }) => `${chain} ${textOf(payload, 'policyHash')}`),
  );
  for (const { workspaceId, hash } of facts.policies) {
    if (!activated.has(`${workspaceId} ${hash}`))
      found.push(`${workspaceId}: policy ${hash} is stored without an event`);
  }
  return found;
}
