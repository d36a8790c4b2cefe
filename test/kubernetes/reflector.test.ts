import { pino } from 'pino';
import t from 'tap';

import { createClusterClient } from '../../src/runtime/drivers/kubernetes/client/client.ts';
import { createReflector } from '../../src/runtime/drivers/kubernetes/client/reflector.ts';
import { Deployment } from '../../src/runtime/drivers/kubernetes/client/resources.ts';
import { isolationTest } from '../support/isolation.ts';
import { until } from '../support/process.ts';
import { Refusal } from './fake-cluster/store.ts';
import { openWorld } from './world.ts';

isolationTest(t);

const { cluster } = await openWorld(t);
const { store, watches, requests } = cluster;
const path = `/apis/apps/v1/namespaces/${cluster.namespace}/deployments`;
const client = createClusterClient(cluster.access);
t.teardown(() => client.close());
const reflector = createReflector(Deployment, {
  client,
  path,
  labelSelector: 'mine=yes',
  logger: pino({ level: 'silent' }),
});
t.teardown(() => reflector.close());

const object = (name: string, mine = 'yes') => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name, labels: { mine } },
  spec: { replicas: 0, template: {} },
});
const names = () => reflector.items().map(({ metadata }) => metadata.name);
const knows = (...wanted: string[]) =>
  until(wanted.join(), () => JSON.stringify(names().toSorted()) === JSON.stringify(wanted));
const lists = () => requests.filter((request) => request.includes('limit=500')).length;
const watched = () => requests.filter((request) => request.includes('watch=true')).length;

t.test('it knows nothing before it was asked', async (t) => {
  t.throws(() => reflector.items(), { code: 'NO_ANSWER' });
  store.create('deployments', object('a'));
  store.create('deployments', object('other', 'no'));
  await reflector.ready(AbortSignal.timeout(10_000));
  t.same(names(), ['a']);
});

t.test('and what comes, changes and goes by the watch alone', async (t) => {
  await until('watched', () => watches.count === 1);
  const waiting = reflector.until((known) => known.get('b'), AbortSignal.timeout(10_000));
  store.create('deployments', object('b'));
  t.match(await waiting, { metadata: { name: 'b' } });
  store.patch('deployments', 'b', { metadata: { annotations: { note: 'new' } } });
  await until('changed', () => reflector.get('b')?.metadata.annotations?.['note'] === 'new');
  store.delete('deployments', 'a');
  await knows('b');
  t.equal(lists(), 1);
  await t.rejects(
    reflector.until(() => undefined, AbortSignal.timeout(20)),
    { name: 'TimeoutError' },
  );
});

t.test('a bookmark is where it goes on, though nothing of it has changed', async (t) => {
  for (let n = 0; n < 3; n += 1) store.create('secrets', { metadata: { name: `s${n}` } });
  watches.bookmark();
  const before = watched();
  const marked = store.version;
  await until('told', async () => {
    watches.end();
    return watched() > before;
  });
  t.match(
    requests.findLast((request) => request.includes('watch=true')),
    `resourceVersion=${marked}`,
  );
  t.equal(lists(), 1, 'nothing was listed again');
});

t.test('what is forgotten is listed again: 410 as an event, and as a status', async (t) => {
  await until('watched', () => watches.count === 1);
  store.delete('deployments', 'b');
  watches.expire();
  await knows();
  for (const name of ['c', 'd', 'e']) {
    await until('watched', () => watches.count === 1);
    const before = lists();
    const over = cluster.fault(({ verb }) =>
      verb === 'watch' ? new Refusal(503, 'ServiceUnavailable', 'away') : undefined,
    );
    watches.end();
    store.create('deployments', object(name));
    store.compact();
    over();
    await until('known', () => reflector.get(name) !== undefined);
    t.ok(lists() > before);
  }
});

t.test('connections that are cut are made again; while it cannot be watched, what is known is not told', async (t) => {
  await until('watched', () => watches.count === 1);
  cluster.cut();
  store.create('deployments', object('f'));
  await until('known', () => {
    try {
      return names().includes('f');
    } catch {
      return false;
    }
  });
  const over = cluster.fault(() => new Refusal(500, 'InternalError', 'broken'));
  cluster.cut();
  await until('not told', () => {
    try {
      reflector.items();
      return false;
    } catch {
      return true;
    }
  });
  over();
  await reflector.ready(AbortSignal.timeout(15_000));
  t.ok(names().includes('f'));
});
