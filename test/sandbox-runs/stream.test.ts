import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';

import { eventsAfter, RunOutput, storedEvents } from '../../src/sandbox-runs/output.ts';
import { notRun } from '../../src/sandbox-runs/results.ts';
import { testService } from '../support/service.ts';
import { sandboxPath, sandboxWorld } from './support/world.ts';

const world = await sandboxWorld(t);
const { begin, until, isolation, certsDir } = world;

interface Read {
  readonly status: number;
  readonly type: string | undefined;
  readonly text: string;
  /** Ids and names in order. */
  readonly events: readonly string[];
}

/** Reads until the stream ends, or until there is `enough`. */
function follow(
  path: string,
  { lastId, enough, apiUrl = world.service.apiUrl }: { lastId?: string; enough?: RegExp; apiUrl?: string } = {},
): Promise<Read> {
  const { promise, resolve, reject } = Promise.withResolvers<Read>();
  const pem = (name: string) => readFileSync(join(certsDir, name));
  const call = request(`${apiUrl}${path}`, {
    agent: false,
    ca: pem('ca.crt'),
    cert: pem('operator.crt'),
    key: pem('operator.key'),
    headers: lastId === undefined ? {} : { 'last-event-id': lastId },
  });
  call.on('response', (response) => {
    let text = '';
    const done = () => {
      const found = text.matchAll(/^id: (.*)\nevent: (.*)$/gm);
      const events = [...found].map(([, id, name]) => `${id} ${name}`);
      resolve({ status: response.statusCode ?? 0, type: response.headers['content-type'], text, events });
    };
    response.setEncoding('utf8');
    response.on('data', (chunk: string) => {
      text += chunk;
      if (enough?.test(text) !== true) return;
      done();
      call.destroy();
    });
    response.on('end', done);
    response.on('error', reject);
  });
  call.on('error', reject);
  call.end();
  return promise;
}

t.test('output comes while it is made, and resumes', async (t) => {
  const agentId = await world.agent();
  const runId = await begin(agentId, { tests: ['echo a', 'hold', 'err b'] });
  const path = sandboxPath(agentId, `runs/${runId}/output`);
  const first = await follow(path, { enough: /held/ });
  t.match(first, { status: 200, type: 'text/event-stream' });
  t.same(first.events, ['0.0 command', '0.1 stdout', '0.end result', '1.0 command', '1.1 stdout']);
  t.match(first.text, 'data: {"index":0,"text":"a\\n"}');
  const rest = follow(path, { lastId: '1.1' });
  const whole = follow(path);
  await delay(100);
  isolation.releaseAll();
  t.same((await rest).events, ['1.end result', '2.0 command', '2.1 stderr', '2.end result', 'end end']);
  t.same((await whole).events.slice(-2), ['2.end result', 'end end']);
  t.match((await whole).text, `data: {"run_id":"${runId}","status":"passed"}`);

  await until(agentId, runId, 'passed');
  const later = await follow(path);
  t.same(later.events.slice(0, 3), ['0.0 command', '0.1 stdout', '0.end result'], 'from what is kept');
  t.same(later.events.at(-1), 'end end');
  t.same(
    (await follow(path, { lastId: '1.1' })).events,
    (await rest).events.map((id) => id.replace('2.1', '2.2')),
  );
  t.same((await follow(path, { lastId: 'end' })).events, []);
});

t.test('on another replica it is followed by what is stored', async (t) => {
  const replica = await testService(t, { replicaOf: world, isolation });
  const agentId = await world.agent();
  const runId = await begin(agentId, { tests: ['hold'] });
  const read = follow(sandboxPath(agentId, `runs/${runId}/output`), { apiUrl: replica.service.apiUrl });
  await until(agentId, runId, 'running');
  isolation.releaseAll();
  t.same((await read).events, ['0.0 command', '0.1 stdout', '0.end result', 'end end']);
});

t.test('another replica cancels a run', async (t) => {
  const replica = await testService(t, { replicaOf: world, isolation });
  const agentId = await world.agent();
  const runId = await begin(agentId, { tests: ['hold'] });
  await until(agentId, runId, 'running');
  const answer = await replica.call('operator', 'POST', sandboxPath(agentId, `runs/${runId}/cancel`));
  t.match(answer, { status: 200, body: { status: 'running' } }, answer.text);
  const ended = await until(agentId, runId, 'killed');
  t.match(ended.body, { cause: 'caller', results: [{ result: 'cancelled', stdout: 'held\n' }] });
  t.match((await world.events(runId)).at(-1), { payload: { cancelledBy: 'operator' } });
});

t.test('a flood shows its beginning and blocks nobody', async (t) => {
  const output = new RunOutput();
  output.begin(0, 'yes');
  for (let n = 0; n < 1000; n += 1) output.write('stdout', Buffer.alloc(65_536, 'y'));
  output.result(0, notRun('yes', 'output_limit'));
  const data = JSON.parse(output.at(1)?.data ?? '');
  t.equal(data.text.length, 16_384);
  t.equal(data.skipped, 65_536_000 - 16_384);
});

t.test('the oldest goes first, and who needs it is cut off', async (t) => {
  const output = new RunOutput();
  for (let index = 0; index < 100; index += 1) {
    output.begin(index, 'x'.repeat(16_000));
    output.result(index, notRun('', 'ok'));
  }
  t.ok(output.first > 0);
  t.equal(output.at(0), undefined);
  t.equal(output.after('0.0'), output.first, 'who comes back late begins with the oldest');
  t.equal(output.after('99.0'), output.next - 1);
});

t.test('characters are not cut in two', async (t) => {
  const output = new RunOutput();
  const bytes = Buffer.from('é');
  output.begin(0, 'x');
  output.write('stdout', bytes.subarray(0, 1));
  output.write('stdout', bytes.subarray(1));
  output.result(0, notRun('x', 'ok'));
  t.equal(JSON.parse(output.at(1)?.data ?? '').text, 'é');
});

t.test('from what is kept, what was had is not sent again', async (t) => {
  const view = { ...notRun('x', 'ok'), stdout: 'a', stderr: 'b' };
  const events = storedEvents([view, view], '{}');
  const ids = (lastId: string) => eventsAfter(events, lastId).map(({ id }) => id);
  const second = ['1.0', '1.1', '1.2', '1.end', 'end'];
  t.same(ids('0.0'), ['0.1', '0.2', '0.end', ...second]);
  t.same(ids('0.7'), ['0.end', ...second], 'some of its output was had while it ran');
  t.same(ids('0.end'), second);
  t.same(ids('end'), []);
  t.equal(ids('nonsense').length, events.length);
  t.equal(ids('9.1').length, events.length);
});
