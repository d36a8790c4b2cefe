import { readFileSync } from 'node:fs';
import t from 'tap';

import { toCloudEvent } from '../../src/audit/stream/cloudevents.ts';
import { toOcsf } from '../../src/audit/stream/ocsf.ts';
import { OCSF_CLASSES, OCSF_TABLE, OTHER } from '../../src/audit/stream/ocsf-table.ts';
import { streamedEvent } from '../../src/audit/stream/streamed-event.ts';
import { canonicalBytes } from '../../src/crypto/canonical-json.ts';
import { sample, TRACE_ID, TYPES } from './support/samples.ts';

const RFC3339 = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:\d{2})$/;
/** Attribute names of CloudEvents: lower-case letters and digits, at most 20 of them recommended; `data` beside them. */
const ATTRIBUTE = /^[a-z0-9]{1,20}$/;

t.test('every type as a CloudEvent 1.0', async (t) => {
  for (const type of [...TYPES, 'of.a.later.release']) {
    const event = sample(type);
    const cloud = toCloudEvent(event, 'urn:castellan:');
    const { data, ...attributes } = cloud;
    for (const [name, value] of Object.entries(attributes)) {
      t.match(name, ATTRIBUTE, `${type}: ${name}`);
      t.ok(typeof value === 'string' && value.length > 0, `${type}: ${name} is text`);
    }
    t.match(attributes, {
      specversion: '1.0',
      id: event.id,
      source: 'urn:castellan:demo',
      type: `dev.castellan.${type}`,
      time: RFC3339,
      datacontenttype: 'application/json',
      traceparent: `00-${TRACE_ID}-${event.hash.slice(0, 16)}-00`,
    });
    t.ok(URL.canParse(String(attributes['source'])), 'an absolute URI');
    const { chain, seq, hash, signerId, signMode, actor, payload } = event;
    t.strictSame(data, { chain, seq, hash, signerId, signMode, actor, payload, traceId: TRACE_ID }, type);
    t.equal(cloud['subject'], payload['agentId'], `${type}: about the agent, if one is named`);
  }
});

t.test('CloudEvents: what is not there, and what is no trace', async (t) => {
  const bare = toCloudEvent(sample('policy.rejected', { traceId: undefined, signerId: null }), 'https://there/');
  t.equal(bare['source'], 'https://there/demo');
  t.notOk('subject' in bare || 'traceparent' in bare);
  t.match(bare['data'], { signerId: null });
  for (const traceId of ['0'.repeat(32), TRACE_ID.toUpperCase(), 'mine', `${TRACE_ID}0`]) {
    t.notOk('traceparent' in toCloudEvent(sample('agent.stopped', { traceId }), 'x:'), traceId);
  }
});

/** OCSF 1.8.0: what each class requires beyond the base event, and those of which it requires one. */
const REQUIRED: Readonly<Record<number, { all: readonly string[]; one?: readonly string[] }>> = {
  1008: { all: [], one: ['log_file', 'log_name', 'log_provider', 'log_type', 'log_type_id'] },
  2004: { all: ['finding_info'] },
  3004: { all: ['entity'] },
  6002: { all: ['app'] },
  6003: { all: ['actor', 'api', 'src_endpoint'] },
};
const BASE = ['activity_id', 'category_uid', 'class_uid', 'metadata', 'severity_id', 'time', 'type_uid'];
/** Members of objects that the schema requires. */
const OBJECTS: Readonly<Record<string, string>> = { finding_info: 'uid', api: 'operation' };

t.test('every type in OCSF, with what its class requires', async (t) => {
  for (const type of TYPES) {
    const event = sample(type);
    const ocsf = toOcsf(event);
    const { class_uid: uid, activity_id: activity, category_uid: category, type_uid: typeUid } = ocsf;
    if (typeof uid !== 'number' || typeof activity !== 'number') throw new Error(`${type} has no numbers`);
    const { all, one = [] } = REQUIRED[uid] ?? { all: ['a class that is known here'] };
    for (const name of [...BASE, ...all]) t.ok(ocsf[name] !== undefined, `${type}: ${name}`);
    t.ok(one.length === 0 || one.some((name) => ocsf[name] !== undefined), `${type}: one of them`);
    for (const [name, member] of Object.entries(OBJECTS)) {
      if (name in ocsf) t.match(ocsf[name], { [member]: /./ }, `${type}: ${name}.${member}`);
    }
    t.equal(category, Math.floor(uid / 1000), type);
    t.equal(typeUid, uid * 100 + activity, type);
    t.ok(activity > 0 && ocsf['activity_name'] !== '', `${type}: an activity`);
    t.match(ocsf, {
      time: Date.parse(event.ts),
      actor: { user: { uid: 'p-7f3a', type_id: 1 } },
      metadata: {
        version: '1.8.0',
        product: { name: 'Castellan' },
        uid: event.id,
        event_code: type,
        sequence: 7,
        tenant_uid: 'demo',
        original_time: event.ts,
        logged_time: Date.parse(event.ts),
        correlation_uid: TRACE_ID,
      },
    });
    const { chain, seq, hash, signerId, signMode, actor, payload } = event;
    t.strictSame(ocsf['unmapped'], { chain, seq, hash, signerId, signMode, eventType: type, actor, payload });
  }
});

t.test('OCSF: members by class', async (t) => {
  t.match(toOcsf(sample('agent.start.denied')), { app: { uid: 'the agentId' }, status_id: 2, severity_id: 3 });
  t.match(toOcsf(sample('policy.activated')), {
    entity: { type_id: 5, uid: 'the policyHash', policy: { name: 'the policySet', version: '0', is_applied: true } },
  });
  t.match(toOcsf(sample('policy.shadowed')), { activity_id: OTHER, entity: { policy: { is_applied: false } } });
  t.match(toOcsf(sample('policy.rejected')), { entity: { policy: { is_applied: false } }, status_code: 'the code' });
  t.match(toOcsf(sample('access.denied', { actor: { id: 'x', kind: 'unknown' } })), {
    api: { operation: 'the route' },
    actor: { user: { uid: 'x', type_id: 0 } },
    status_code: 'the code',
  });
  t.match(toOcsf(sample('agent.stopped', { actor: { id: 'x', kind: 'agent' } })), {
    actor: { user: { type_id: 99, type: 'Agent' } },
  });
  const novel = toOcsf(sample('of.a.later.release'));
  t.match(novel, { class_uid: 0, category_uid: 0, type_uid: 0, activity_id: 0, severity_id: 0 });
  t.match(novel['unmapped'], { eventType: 'of.a.later.release', payload: { novel: true } }, 'told all the same');
});

t.test('a body that is no event of that place', async (t) => {
  const good = { v: 1, chain: 'demo', seq: 7, id: 'i', eventType: 'x', ts: '2026-11-21T09:00:00.123Z', prevHash: '' };
  const whole = { ...good, actor: { id: 'a', kind: 'human' }, payload: {}, signerId: null };
  const read = (body: unknown) => streamedEvent('demo', { seq: 7, body: canonicalBytes(body), signMode: 'event' });
  t.ok(read(whole));
  const changes = [{ v: 2 }, { chain: 'other' }, { seq: 8 }, { id: 1 }, { ts: 'x' }, { actor: 'a' }, { payload: [] }];
  for (const change of changes) t.equal(read({ ...whole, ...change }), undefined, JSON.stringify(change));
  t.equal(read([]), undefined);
  t.equal(streamedEvent('demo', { seq: 7, body: Buffer.from('{'), signMode: 'event' }), undefined);
});

t.test('docs/streams.md shows the table', async (t) => {
  const docs = readFileSync(new URL('../../docs/streams.md', import.meta.url), 'utf8');
  const shown = docs.split('\n').filter((line) => /^\| `[a-z]+\.[a-z.]+` \|/.test(line));
  const rows = TYPES.map((type) => {
    const { class: name, activity, severity, status } = OCSF_TABLE[type];
    const label = typeof activity === 'object' ? `Other: ${activity.other}` : activity;
    return `| \`${type}\` | ${OCSF_CLASSES[name].uid} | ${label} | ${severity} | ${status} |`;
  });
  t.strictSame(shown, rows);
});
