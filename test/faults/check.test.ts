import t from 'tap';

import { check } from './check/check.ts';
import type { Evidence, Invariant } from './check/evidence.ts';
import type { EventFact, Facts } from './check/facts.ts';
import type { Call } from './support/history.ts';
import { answered, call, honest } from './support/honest.ts';

/** A damage to honest evidence, and the one invariant that must be named for it. */
type Damage = readonly [invariant: Invariant, why: string, damage: (evidence: Evidence) => Evidence];

const inFacts = (change: (facts: Facts) => Partial<Facts>) => (evidence: Evidence) => ({
  ...evidence,
  facts: { ...evidence.facts, ...change(evidence.facts) },
});
/** Without the rows of which that holds. */
const without = <K extends keyof Facts>(table: K, gone: (row: Facts[K][number]) => boolean) =>
  inFacts((facts) => ({ [table]: [...facts[table]].filter((row) => !gone(row)) }));
const editEvent = (type: string, change: (event: EventFact) => EventFact) =>
  inFacts(({ events }) => ({ events: events.map((event) => (event.type === type ? change(event) : event)) }));
const payload = (members: object) => (event: EventFact) => ({ ...event, payload: { ...event.payload, ...members } });
const editAgent = (id: string, change: object) =>
  inFacts(({ agents }) => ({ agents: agents.map((row) => (row.id === id ? { ...row, ...change } : row)) }));
const editCall = (traceId: string, change: (one: Call) => Call) => (evidence: Evidence) => ({
  ...evidence,
  calls: evidence.calls.map((one) => (one.traceId === traceId ? change(one) : one)),
});
const addCalls =
  (...calls: Call[]) =>
  (evidence: Evidence) => ({ ...evidence, calls: [...evidence.calls, ...calls] });
/** An event in the place of one that nobody was told of; what it says does not matter. */
const retrace = (type: string, traceId: string) => editEvent(type, (event) => ({ ...event, traceId }));
const settled = (change: object) => (evidence: Evidence) => ({
  ...evidence,
  samples: evidence.samples.map((one) => (one.moment === 'settled' ? { ...one, ...change } : one)),
});

const GIB = 1024 ** 3;

const DAMAGES: readonly Damage[] = [
  ['I1', 'the verifier found something', (e) => ({ ...e, audit: { verdict: 'exit 1', findings: ['demo#3 gap'] } })],
  ['I1', 'an event of another chain is gone', without('events', ({ chain, seq }) => chain === 'other' && seq === 1)],
  ['I1', 'two heads of a chain', inFacts(({ heads }) => ({ heads: heads.flatMap((head) => [head, head]) }))],
  ['I1', 'a head behind its chain', inFacts(({ heads }) => ({ heads: heads.map((head) => ({ ...head, seq: 1 })) }))],
  ['I1', 'a head that is not there', without('heads', ({ chain }) => chain === 'demo')],

  [
    'I2',
    'an agent without its creation',
    inFacts(({ agents, directory }) => ({
      agents: agents.map((row) => (row.id === 'one' ? { ...row, id: 'nobody' } : row)),
      directory: directory.map((row) => (row.id === 'one' ? { ...row, id: 'nobody' } : row)),
    })),
  ],
  ['I2', 'an agent that went without an event', without('agents', ({ id }) => id === 'two')],
  ['I2', 'a state that no event brought about', editAgent('two', { status: 'running' })],
  ['I2', 'a mode that no event brought about', editAgent('one', { mode: 'governed' })],
  ['I2', 'a spec that no event brought about', editAgent('one', { specHash: 'sha256:0' })],
  ['I2', 'a stop without its change', editEvent('agent.quarantined', (e) => ({ ...e, payload: { agentId: 'two' } }))],
  ['I2', 'an event about nobody', editEvent('agent.quarantined', payload({ agentId: 'nobody' }))],
  [
    'I2',
    'an event the checker does not know',
    editEvent('access.denied', (e) => ({ ...e, type: 'agent.vanished', traceId: null })),
  ],
  [
    'I2',
    'a decision without its event',
    inFacts(({ decisions }) => ({
      decisions: decisions.flatMap((row) => [row, { ...row, id: `${row.id}-again` }]),
    })),
  ],
  ['I2', 'an event without its decision', without('decisions', ({ id }) => id === 'd3')],
  [
    'I2',
    'a decision of another event',
    inFacts(({ decisions }) => ({ decisions: decisions.map((row) => ({ ...row, auditSeq: 1 })) })),
  ],
  [
    'I2',
    'a denial that the ledger has as allowed',
    inFacts(({ decisions }) => ({
      decisions: decisions.map((row) => ({ ...row, effect: 'ALLOW' })),
    })),
  ],
  [
    'I2',
    'a proof without its event',
    inFacts(({ proofs }) => ({ proofs: proofs.flatMap((row) => [row, { ...row, id: 'x' }]) })),
  ],
  ['I2', 'a statement that no event names', without('events', ({ type }) => type === 'proof.mass.renewed')],
  ['I2', 'a statement that is not there', without('statements', () => true)],
  ['I2', 'a renewal of many without one of them', editEvent('proof.mass.renewed', payload({ agents: [] }))],
  [
    'I2',
    'a renewal of many that follows another proof',
    editEvent(
      'proof.mass.renewed',
      payload({ agents: [{ agentId: 'two', proofId: 'proof-2', previousProofId: 'proof-0' }] }),
    ),
  ],
  [
    'I2',
    'a renewal of many with a stranger among them',
    editEvent(
      'proof.mass.renewed',
      payload({
        agents: [
          { agentId: 'two', proofId: 'proof-2', previousProofId: 'proof-1' },
          { agentId: 'nobody', proofId: 'proof-3', previousProofId: 'proof-1' },
        ],
      }),
    ),
  ],
  ['I2', 'a promotion that is not there', without('promotions', () => true)],
  ['I2', 'a template that is not there', without('templates', () => true)],
  ['I2', 'a kill switch that is not there', without('switches', () => true)],
  ['I2', 'a kill switch that no event engaged', editEvent('killswitch.engaged', payload({ agentId: 'one' }))],
  ['I2', 'a revalidation that is not there', without('revalidations', () => true)],
  ['I2', 'a spec version that is not there', without('specs', ({ id }) => id === 'two')],
  [
    'I2',
    'a workspace without its event',
    inFacts(({ workspaces, events, heads }) => ({
      workspaces: [...workspaces, 'third'],
      events: [
        ...events,
        ...events
          .filter(({ chain }) => chain === 'other')
          .map((e) => ({ ...e, chain: 'third', payload: {} }))
          .slice(1)
          .map((e) => ({ ...e, seq: 1, hash: 'x' })),
      ],
      heads: [...heads, { chain: 'third', seq: 1, hash: 'x' }],
    })),
  ],
  [
    'I2',
    'a count that is wrong',
    inFacts(({ counts }) => ({ counts: counts.map((row) => ({ ...row, n: row.n + 1 })) })),
  ],
  ['I2', 'an agent missing in the directory', without('directory', ({ id }) => id === 'one')],
  [
    'I2',
    'a policy head that no event set',
    inFacts(({ policyHeads }) => ({
      policyHeads: policyHeads.map((row) => ({ ...row, activationSeq: 1 })),
    })),
  ],
  [
    'I2',
    'a policy stored without an event',
    inFacts(({ policies }) => ({
      policies: [...policies, { workspaceId: 'demo', version: 3, hash: 'sha256:x' }],
    })),
  ],
  ['I2', 'a change that nobody was told of', retrace('revalidation.requested', 'create-two')],

  [
    'I3',
    'an acknowledged creation without its event',
    addCalls(call('lost', 'createAgent', answered(201, { agentId: 'three' }))),
  ],
  [
    'I3',
    'an acknowledged start without its event',
    addCalls(call('lost', 'startAgent', answered(200, { agentId: 'one' }))),
  ],
  ['I3', 'a denial without its event', addCalls(call('lost', 'startAgent', answered(403, { decisionId: 'd9' })))],
  [
    'I3',
    'a receipt of another event',
    editCall('start-one', (one) => ({
      ...one,
      outcome: answered(200, { agentId: 'one', decisionId: 'd1', receipt: { chain: 'demo', seq: 4, hash: 'another' } }),
    })),
  ],
  [
    'I3',
    'an answer that names another agent',
    editCall('create-two', (one) => ({ ...one, outcome: answered(201, { agentId: 'one' }) })),
  ],

  [
    'I4',
    'half of a promotion after a timeout',
    (e) =>
      editCall('promote-two', (one) => ({ ...one, outcome: { kind: 'unknown', reason: 'reset' } }))(
        editEvent('proof.issued', (event) => ({ ...event, traceId: null }))(e),
      ),
  ],
  [
    'I4',
    'a refusal that changed something',
    editCall('quarantine-one', (one) => ({ ...one, outcome: answered(409, { code: 'CONFLICT' }) })),
  ],
  [
    'I4',
    'a key with two effects',
    (e) => editCall('create-two', (one) => ({ ...one, key: 'k1', outcome: { kind: 'unknown', reason: 'reset' } }))(e),
  ],
  [
    'I4',
    'a key with two answers',
    editCall('create-again', (one) => ({ ...one, outcome: answered(201, { agentId: 'x', replayed: true }) })),
  ],
  ['I4', 'a fault that was answered with 500', editCall('away', (one) => ({ ...one, outcome: answered(500) }))],
  ['I4', 'a 503 that does not say when to come back', editCall('away', (one) => ({ ...one, outcome: answered(503) }))],

  [
    'I5',
    'a foreign caller who was let in',
    editCall('foreign', (one) => ({ ...one, operation: 'getAgentStatus', outcome: answered(200), traceId: 'x' })),
  ],
  [
    'I5',
    "another workspace's mark in an answer",
    editCall('shown-1', (one) => ({
      ...one,
      outcome: {
        ...answered(200, { leaks: ['mark of other'] }),
        policyHash: one.outcome.kind === 'answered' ? one.outcome.policyHash : '',
      },
    })),
  ],
  [
    'I5',
    'a foreign caller who left an event',
    (e) =>
      editCall('quarantine-one', (one) => ({ ...one, who: 'outsider', outcome: { kind: 'unknown', reason: 'reset' } }))(
        e,
      ),
  ],

  [
    'I6',
    'a start of an agent whose time was over',
    editEvent('agent.created', payload({ expiresAt: '2020-01-01T00:00:00.000Z' })),
  ],
  [
    'I6',
    'a start against a kill switch',
    inFacts(({ events }) => ({
      events: events.map((event) =>
        event.chain === 'demo' && event.seq === 2
          ? { ...event, type: 'killswitch.engaged', payload: { scope: 'workspace' } }
          : event,
      ),
    })),
  ],
  [
    'I6',
    'more replicas of an agent that did not run',
    editEvent('agent.start.denied', (event) => ({ ...event, type: 'agent.scaled' })),
  ],
  ['I6', 'a start with another spec', editEvent('agent.start.allowed', payload({ specHash: 'sha256:x' }))],
  ['I6', 'a start in another mode', editEvent('agent.start.allowed', payload({ mode: 'governed' }))],
  [
    'I6',
    'a start of one that was quarantined',
    inFacts(({ events }) => {
      const [quarantine, start] = ['agent.quarantined', 'agent.start.allowed'].map((type) =>
        events.find((e) => e.type === type),
      );
      if (quarantine === undefined || start === undefined) return {};
      return {
        events: events.map((event) => {
          if (event === start) return { ...start, type: quarantine.type, payload: quarantine.payload };
          return event === quarantine ? { ...quarantine, type: start.type, payload: start.payload } : event;
        }),
      };
    }),
  ],
  [
    'I6',
    'a start under a proof of an older policy',
    editEvent('agent.start.denied', (event) => ({ ...event, type: 'agent.start.allowed' })),
  ],

  [
    'I7',
    'a decision by a policy that was not in force',
    editEvent('agent.start.denied', payload({ policyHash: `sha256:${'a'.repeat(64)}` })),
  ],
  [
    'I7',
    'a replica that went back',
    editCall('shown-2', (one) => ({
      ...one,
      outcome: { ...answered(200), policyHash: `sha256:${'a'.repeat(64)}`, revision: 0 },
    })),
  ],
  [
    'I7',
    'a policy that was never stored',
    editCall('shown-1', (one) => ({ ...one, outcome: answered(200, { policyHash: 'sha256:x', revision: 1 }) })),
  ],

  ['I8', 'memory that grew', settled({ residentBytes: 0.5 * GIB })],
  ['I8', 'sockets left open', settled({ openFiles: 500 })],
  ['I8', 'an event loop that stood still', settled({ loopDelayMax: 30 })],
  ['I8', 'units that still wait', settled({ queueDepth: 1 })],
  ['I8', 'callers that still wait for a connection', settled({ waitingForPool: 1 })],
  ['I8', 'events dropped', settled({ droppedEvents: 1 })],

  ['I9', 'a secret in a log', (e) => ({ ...e, logs: [{ instance: 'instance-1', text: 'at postgres://a:hunter2@b' }] })],
  ['I9', 'a body in a log', (e) => ({ ...e, logs: [{ instance: 'instance-1', text: 'because of it' }] })],
  ['I9', 'a secret in an event', editEvent('agent.quarantined', payload({ reason: 'hunter2' }))],
  [
    'I9',
    'a secret in an answer',
    editCall('nothing', (one) => ({ ...one, outcome: answered(404, { leaks: ['secret a password'] }) })),
  ],

  [
    'I10',
    'an end that nobody wanted',
    (e) => ({ ...e, ends: [{ instance: 'instance-1', expected: false, code: 1, signal: null }] }),
  ],
];

t.test('nothing is said of a run in which all is well', async (t) => {
  t.same(check(honest()), []);
});

t.test('each damage is named by its invariant', async (t) => {
  for (const [invariant, why, damage] of DAMAGES) {
    const found = check(damage(honest()));
    t.ok(
      found.some((one) => one.invariant === invariant),
      `${invariant}: ${why}`,
      { found },
    );
  }
  t.same(new Set(DAMAGES.map(([invariant]) => invariant)).size, 10, 'all ten can fail');
});
