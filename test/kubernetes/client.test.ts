import { randomUUID } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { stringify } from 'yaml';

import { type Access, inClusterAccess, kubeconfigAccess } from '../../src/runtime/drivers/kubernetes/client/access.ts';
import { type ClusterClient, createClusterClient } from '../../src/runtime/drivers/kubernetes/client/client.ts';
import { execQuery } from '../../src/runtime/drivers/kubernetes/client/exec.ts';
import { Anything, listOf, Namespace, Pod } from '../../src/runtime/drivers/kubernetes/client/resources.ts';
import { isolationTest } from '../support/isolation.ts';
import { Refusal } from './fake-cluster/store.ts';
import { openWorld } from './world.ts';

isolationTest(t);

const { cluster } = await openWorld(t);
const namespace = `/api/v1/namespaces/${cluster.namespace}`;
const client = (access: Access = cluster.access): ClusterClient => {
  const made = createClusterClient(access);
  t.teardown(() => made.close());
  return made;
};
const read = (from: ClusterClient) => from.call(Namespace, { method: 'GET', path: namespace });
/** Refuses the next `count` requests. */
const refuse = (count: number, refusal: Refusal) => {
  let left = count;
  return cluster.fault(() => (left-- > 0 ? refusal : undefined));
};

t.test('credentials: a kubeconfig with a client certificate, with a token, the service account', async (t) => {
  const { authority, client: own } = cluster.tls;
  const { token } = await cluster.access();
  const dir = t.testdir({ 'ca.crt': authority.cert, token: `${token}\n`, 'key.pem': own.key });
  const kubeconfig = (user: object, change: object = {}) => {
    const file = join(dir, `${randomUUID()}.yaml`);
    const server = `https://127.0.0.1:${cluster.port}`;
    const config = {
      apiVersion: 'v1',
      'current-context': 'one',
      contexts: [{ name: 'one', context: { cluster: 'c', user: 'u' } }],
      clusters: [{ name: 'c', cluster: { server, 'certificate-authority': 'ca.crt', ...change } }],
      users: [{ name: 'u', user }],
    };
    writeFileSync(file, stringify(config));
    return kubeconfigAccess(file);
  };
  const cert = Buffer.from(own.cert).toString('base64');
  await read(client(kubeconfig({ 'client-certificate-data': cert, 'client-key': 'key.pem' })));
  await read(client(kubeconfig({ tokenFile: 'token' })));
  await read(client(kubeconfig({ token })));
  t.match(await inClusterAccess(dir)(), { origin: 'https://kubernetes.default.svc', token, ca: authority.cert });
  await t.rejects(kubeconfig({ exec: { command: 'login' } })(), { code: 'BAD_CONFIGURATION' }, 'no program is run');
  await t.rejects(kubeconfig({ token }, { 'insecure-skip-tls-verify': true })(), { code: 'BAD_CONFIGURATION' });
  await t.rejects(kubeconfig({ token }, { server: 'http://127.0.0.1:1' })(), { code: 'BAD_CONFIGURATION' });
  await t.rejects(kubeconfigAccess(join(dir, 'token'))(), { code: 'BAD_CONFIGURATION' });
  const stranger = { ...(await cluster.access()), ca: own.cert };
  await t.rejects(read(client(async () => stranger)), { code: 'NO_ANSWER' }, 'an authority that is not the one in it');
});

t.test('a token that is replaced is read again', async (t) => {
  const dir = t.testdir({});
  mkdirSync(join(dir, 'sa'));
  const write = async () => {
    const { token = '', ca = '' } = await cluster.access();
    writeFileSync(join(dir, 'sa', 'token'), token);
    writeFileSync(join(dir, 'sa', 'ca.crt'), ca);
  };
  await write();
  const inPod = inClusterAccess(join(dir, 'sa'));
  const { origin } = await cluster.access();
  const one = client(async () => ({ ...(await inPod()), origin }));
  await read(one);
  cluster.rotateToken();
  await t.rejects(read(one), { code: 'UNAUTHORIZED' }, 'not replaced yet');
  await write();
  t.match(await read(one), { metadata: { name: cluster.namespace } });
});

t.test('what is refused has a code', async (t) => {
  const one = client();
  const cases = [
    [new Refusal(403, 'Forbidden', 'no'), 'FORBIDDEN'],
    [new Refusal(404, 'NotFound', 'none'), 'NOT_FOUND'],
    [new Refusal(409, 'Conflict', 'changed'), 'CONFLICT'],
    [new Refusal(410, 'Expired', 'old'), 'GONE'],
    [new Refusal(422, 'Invalid', 'wrong'), 'INVALID'],
  ] as const;
  for (const [refusal, code] of cases) {
    const over = refuse(1, refusal);
    await t.rejects(read(one), { code, reason: refusal.reason }, code);
    over();
  }
});

t.test('what is busy or broken is asked again: a read always, a change only when it was refused', async (t) => {
  const one = client();
  const create = () =>
    one.call(Anything, {
      method: 'POST',
      path: `${namespace}/secrets`,
      body: { apiVersion: 'v1', kind: 'Secret', metadata: { name: `s-${randomUUID()}` } },
    });
  for (const [count, refusal] of [
    [2, new Refusal(500, 'InternalError', 'broken')],
    [1, new Refusal(429, 'TooManyRequests', 'busy', { 'retry-after': '1' })],
  ] as const) {
    const over = refuse(count, refusal);
    const began = performance.now();
    await read(one);
    if (refusal.status === 429) t.ok(performance.now() - began >= 950, 'as long as it was asked to wait');
    over();
  }
  const late = refuse(1, new Refusal(429, 'TooManyRequests', 'busy', { 'retry-after': '0' }));
  await create();
  late();
  const broken = refuse(1, new Refusal(500, 'InternalError', 'broken'));
  await t.rejects(create(), { code: 'SERVER_ERROR' }, 'it may have been done');
  broken();
  const always = refuse(100, new Refusal(500, 'InternalError', 'broken'));
  await t.rejects(read(one), { code: 'SERVER_ERROR' });
  await t.rejects(
    one.call(Namespace, { method: 'GET', path: namespace, signal: AbortSignal.timeout(150) }),
    { name: 'TimeoutError' },
    'no longer than its caller wants',
  );
  always();
});

t.test('what is no answer of an API server is none', async (t) => {
  const one = client();
  await t.rejects(one.call(listOf(Pod), { method: 'GET', path: '/version' }), { code: 'NO_ANSWER' });
  const nobody = { ...(await cluster.access()), origin: 'https://127.0.0.1:9' };
  await t.rejects(read(client(async () => nobody)), { code: 'NO_ANSWER' });
});

t.test('a refused exec says why', async (t) => {
  const one = client();
  const exec = (pod: string) =>
    one.exec({
      path: `${namespace}/pods/${pod}/exec`,
      query: execQuery('main', ['true']),
      stdin: '',
      onOutput: () => undefined,
    });
  await t.rejects(exec('absent'), { code: 'NOT_FOUND' });
  const over = cluster.fault(({ path }) => (path.includes('/exec') ? new Refusal(403, 'Forbidden', 'no') : undefined));
  await t.rejects(exec('absent'), { code: 'FORBIDDEN' });
  over();
});
