import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import t from 'tap';

import { newId } from '../../src/ids.ts';
import { createLogStore } from '../../src/supervisor/logs/store.ts';
import { testService } from '../support/service.ts';
import { until } from './world.ts';

const KEEP_BYTES = 16_384;

const { call, certsDir, database, service } = await testService(t);
const { storage } = service.app;
const store = createLogStore(storage, KEEP_BYTES);
const launchId = newId();

async function agent(): Promise<{ agentId: string; path: string }> {
  const { body } = await call('operator', 'POST', '/v1/workspaces/demo/agents', { spec: { name: 'talker' } });
  return { agentId: body.id, path: `/v1/workspaces/demo/agents/${body.id}/logs` };
}

const say = (agentId: string, ...texts: string[]) =>
  store.append({
    pieces: texts.map((text) => ({
      agent: { workspaceId: 'demo', agentId },
      piece: { at: Date.now(), launchId, replica: '0', stream: 'stdout', text },
    })),
    dropped: [],
  });
const texts = (body: { entries: { text: string }[] }) => body.entries.map(({ text }) => text);

t.test('what was said can be read in order, in pages and from the end', async (t) => {
  const { agentId, path } = await agent();
  t.match(await call('operator', 'GET', path), { status: 200, body: { entries: [], nextCursor: null, dropped: 0 } });
  await say(agentId, 'a', 'b', 'c', 'd', 'e');
  const first = await call('operator', 'GET', `${path}?limit=2`);
  t.same(texts(first.body), ['a', 'b']);
  t.match(first.body.entries[0], { launchId, replica: '0', stream: 'stdout' });
  const second = await call('operator', 'GET', `${path}?limit=4&cursor=${first.body.nextCursor}`);
  t.same(texts(second.body), ['c', 'd', 'e']);
  const none = await call('operator', 'GET', `${path}?cursor=${second.body.nextCursor}`);
  t.same(texts(none.body), []);
  await say(agentId, 'f');
  const later = await call('operator', 'GET', `${path}?cursor=${none.body.nextCursor}`);
  t.same(texts(later.body), ['f'], 'the last cursor may be asked again');
  t.same(texts((await call('operator', 'GET', `${path}?tail=2`)).body), ['e', 'f']);
});

t.test('of each agent the newest is kept, and what was left out is counted', async (t) => {
  const { agentId, path } = await agent();
  const other = await agent();
  await say(other.agentId, 'mine stays');
  for (let index = 0; index < 20; index += 1) await say(agentId, `${index} ${'x'.repeat(2000)}`);
  const { rows } = await database.query(
    `SELECT count(*)::int AS pieces, sum(octet_length(text) + 64)::int AS bytes,
       (SELECT bytes::int FROM agent_log_heads h WHERE h.agent_id = $1) AS counted FROM agent_logs WHERE agent_id = $1`,
    [agentId],
  );
  t.ok(rows[0].bytes <= KEEP_BYTES, JSON.stringify(rows[0]));
  t.equal(rows[0].counted, rows[0].bytes);
  t.match(texts((await call('operator', 'GET', `${path}?tail=1`)).body)[0], /^19 /);
  await store.append({ pieces: [], dropped: [{ agent: { workspaceId: 'demo', agentId }, bytes: 4711 }] });
  t.equal((await call('operator', 'GET', path)).body.dropped, 4711);
  t.same(texts((await call('operator', 'GET', other.path)).body), ['mine stays']);
});

t.test('a deleted agent leaves no output, and none comes for it', async (t) => {
  const { agentId } = await agent();
  await say(agentId, 'before');
  await call('operator', 'DELETE', `/v1/workspaces/demo/agents/${agentId}`);
  await say(agentId, 'after');
  const { rows } = await database.query(
    `SELECT (SELECT count(*)::int FROM agent_logs WHERE agent_id = $1) + (SELECT count(*)::int FROM agent_log_heads
       WHERE agent_id = $1) AS n`,
    [agentId],
  );
  t.same(rows, [{ n: 0 }]);
});

t.test('questions that make no sense, and agents of others', async (t) => {
  const { path } = await agent();
  const one = await agent();
  await say(one.agentId, 'x');
  const { nextCursor } = (await call('operator', 'GET', one.path)).body;
  for (const [query, status] of [
    ['tail=501', 400],
    ['tail=-1', 400],
    ['nonsense=1', 400],
    ['cursor=AAAA', 400],
    [`cursor=${nextCursor}`, 400],
    [`tail=1&cursor=${nextCursor}`, 400],
  ] as const) {
    t.equal((await call('operator', 'GET', `${path}?${query}`)).status, status, query);
  }
  t.equal((await call('outsider', 'GET', one.path)).status, 404);
  t.equal((await call('operator', 'GET', one.path.replace(one.agentId, newId()))).status, 404);
  t.equal((await call('operator', 'GET', `${one.path.replace(one.agentId, newId())}?follow=true`)).status, 404);
  const bad = await call('operator', 'GET', `${one.path}?follow=true`, undefined, { 'last-event-id': 'x' });
  t.equal(bad.status, 400);
});

t.test('who follows gets what is kept and what comes; who resumes, only what came since', async (t) => {
  const { agentId, path } = await agent();
  await say(agentId, 'one\n', 'two\n');
  const all = follow(path);
  await until('both', () => all.text.includes('two'));
  await say(agentId, 'three\n');
  await until('the third', () => all.text.includes('three'));
  t.match(all.text, /^id: \d+\nevent: output\ndata: \{.*"text":"one\\n"\}$/m);
  const ids = [...all.text.matchAll(/^id: (\d+)$/gm)].map(([, id]) => id);
  all.end();
  const resumed = follow(path, { 'last-event-id': String(ids[1]) });
  await until('what came since', () => resumed.text.includes('three'));
  t.notMatch(resumed.text, /one|two/);
  resumed.end();
  const newest = follow(`${path}?follow=true&tail=0`);
  await until('it is let in', () => newest.text.length > 0);
  await say(agentId, 'four\n');
  await until('the fourth', () => newest.text.includes('four'));
  t.notMatch(newest.text, /one|two|three/);
  newest.end();
});

t.test('a stream ends when the service closes', async (t) => {
  const { path } = await agent();
  const open = follow(path);
  await until('it is let in', () => open.text.length > 0);
  const from = performance.now();
  await service.close();
  await open.ended;
  t.ok(performance.now() - from < 5000);
});

function follow(path: string, headers: Record<string, string> = {}) {
  const pem = (name: string) => readFileSync(join(certsDir, name));
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  const stream = { text: '', ended, end: () => outgoing.destroy() };
  const outgoing = request(new URL(path.includes('?') ? path : `${path}?follow=true`, service.apiUrl), {
    ca: pem('ca.crt'),
    cert: pem('operator.crt'),
    key: pem('operator.key'),
    agent: false,
    headers,
  });
  outgoing.on('error', () => resolve());
  outgoing.on('response', (response) => {
    response.on('data', (chunk: Buffer) => {
      stream.text += chunk.toString();
    });
    response.on('error', () => resolve());
    response.on('close', () => resolve());
  });
  outgoing.end();
  return stream;
}
