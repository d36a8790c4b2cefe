import t from 'tap';

import { fullJitter, retryAfterMs } from '../../packages/client/src/backoff.ts';
import {
  type ClientOptions,
  createClient,
  createRuntimeSelector,
  type OrchestratorRuntime,
  optionsFromEnv,
} from '../../packages/client/src/index.ts';
import { createRetryBudget } from '../../packages/client/src/retry-budget.ts';
import { AGENT, clientOf, failure, faultyServer, json, STATUS } from './support/faulty.ts';

t.test('options that cannot be meant are refused before anything is sent', async (t) => {
  const serverUrls = ['https://127.0.0.1:1'];
  const wrong: readonly (readonly [Partial<ClientOptions>, RegExp])[] = [
    [{ serverUrls: [] }, /at least one/],
    [{ serverUrls: ['http://127.0.0.1:1'] }, /not https/],
    [{ serverUrls: ['https://user:secret@127.0.0.1:1'] }, /nothing else/],
    [{ serverUrls: ['https://127.0.0.1:1/v1'] }, /nothing else/],
    [{ serverUrls: ['127.0.0.1'] }, /not a URL/],
    [{ serverUrls, deadlineMs: Number.POSITIVE_INFINITY }, /deadlineMs/],
    [{ serverUrls, retry: { maxAttempts: 0 } }, /maxAttempts/],
    [{ serverUrls, retry: { budget: { capacity: Number.NaN } } }, /capacity/],
    [{ serverUrls, maxAnswerBytes: -1 }, /maxAnswerBytes/],
    [{ serverUrls, clientCertPemRef: { pem: 'x' } }, /go together/],
    [{ serverUrls, caCertPemRef: '/does/not/exist' }, /caCertPemRef cannot be read/],
    [{ serverUrls, token: 'two words' }, /not a bearer token/],
    [{ serverUrls, token: '' }, /not a bearer token/],
  ];
  for (const [options, message] of wrong) {
    const making = async (): Promise<void> => {
      const client = await createClient({ serverUrls, ...options });
      // A limit that is used by calls only is judged by the first of them.
      await client.request('getAgentStatus', AGENT).finally(() => client.close());
    };
    const error = await failure(making());
    t.match(error, { message, kind: /^(?:usage|credentials)$/ });
    t.notMatch(error.message, /secret|two words/);
  }
});

t.test('a call that cannot be meant', async (t) => {
  const server = await faultyServer(t, json(200, STATUS));
  const client = await clientOf(t, [server]);
  const usage = { kind: 'usage', attempts: 0 };
  const there = (agentId: string) => ({ params: { workspaceId: 'demo', agentId } });
  for (const agentId of ['', '.', '..', '\ud800'])
    t.match(await failure(client.request('getAgentStatus', there(agentId))), usage);
  t.match(await failure(client.request('getAgentStatus', AGENT, { idempotencyKey: 'k' })), usage);
  t.match(await failure(client.request('startAgent', AGENT, { idempotencyKey: 'ä' })), usage);
  t.match(await failure(client.request('startAgent', AGENT, { idempotencyKey: ' k' })), usage);
  t.match(await failure(client.request('startAgent', AGENT, { deadlineMs: 2 ** 40 })), usage);
  t.match(await failure(client.request('patchAgent', { ...AGENT, body: { spec: {} } }, { ifMatch: 'x' })), usage);
  t.match(await failure(client.request('getAgentStatus', AGENT, { deadlineMs: 0 })), usage);
  const list = client.list('listAgents', { params: { workspaceId: 'demo' } }, { maxItems: -1 });
  t.match(await failure(list.next()), usage);
  t.equal(server.seen.length, 0);
  await client.request('getAgentStatus', there('a/b?c#d'));
  t.equal(server.seen[0]?.url, '/v1/workspaces/demo/agents/a%2Fb%3Fc%23d/status', 'a parameter stays one segment');
  await client.close();
  t.match(await failure(client.request('getAgentStatus', AGENT)), { kind: 'usage', code: 'CLIENT_CLOSED' });
});

t.test('the environment is read only where it is asked for', async (t) => {
  t.same(optionsFromEnv({}), {});
  t.same(
    optionsFromEnv({
      EXTERNAL_ORCHESTRATOR_URL: ' https://a:1, https://b:2 ,',
      EXTERNAL_ORCHESTRATOR_API_KEY: 'key\n',
      EXTERNAL_ORCHESTRATOR_VERIFY: 'false',
    }),
    { serverUrls: ['https://a:1', 'https://b:2'], token: 'key' },
  );
});

t.test('the runtime of a workspace is what its configuration says', async (t) => {
  const runtime = (name: string) => ({ name }) as unknown as OrchestratorRuntime;
  const runtimes = { embedded: runtime('embedded'), external: runtime('external') };
  const workspaces = { demo: 'embedded', other: 'external' } as const;
  const strict = createRuntimeSelector({ workspaces, runtimes });
  t.equal(strict.runtimeFor('demo'), runtimes.embedded);
  t.equal(strict.runtimeFor('other'), runtimes.external);
  for (const workspace of ['third', 'constructor', '__proto__', 'toString'])
    t.throws(() => strict.runtimeFor(workspace), { message: /no runtime mode/ });
  t.equal(createRuntimeSelector({ workspaces, default: 'external', runtimes }).modeOf('third'), 'external');
  const configured = JSON.parse('{ "demo": "remote" }');
  t.throws(() => createRuntimeSelector({ workspaces: configured, runtimes }), { message: /remote is no runtime mode/ });
  const half = { runtimes: { external: runtimes.external } };
  t.throws(() => createRuntimeSelector({ workspaces, ...half }), { message: /embedded runtime is configured/ });
  t.throws(() => createRuntimeSelector({ workspaces: {}, default: 'embedded', ...half }), { message: /not given/ });
});

t.test('Retry-After', async (t) => {
  const now = Date.parse('2026-01-01T00:00:00Z');
  t.equal(retryAfterMs('3', now), 3000);
  t.equal(retryAfterMs('0', now), 0);
  t.equal(retryAfterMs('1000000000', now), 1e12, 'too long to wait for is not nothing');
  t.equal(retryAfterMs('Thu, 01 Jan 2026 00:00:05 GMT', now), 5000);
  t.equal(retryAfterMs('Wed, 31 Dec 2025 00:00:05 GMT', now), 0, 'in the past');
  for (const text of [undefined, '', '-1', '1.5', 'soon', '5 apples', '2026-01-01'])
    t.equal(retryAfterMs(text, now), undefined, String(text));
});

t.test('the wait is uniform between nothing and a limit that doubles', async (t) => {
  t.equal(
    fullJitter(1, 100, 5000, () => 0),
    0,
  );
  t.equal(
    fullJitter(1, 100, 5000, () => 0.5),
    50,
  );
  t.equal(
    fullJitter(4, 100, 5000, () => 0.5),
    400,
  );
  t.equal(
    fullJitter(2000, 100, 5000, () => 0.5),
    2500,
  );
});

t.test('the budget earns by calls and by time, up to its capacity', async (t) => {
  let now = 0;
  const budget = createRetryBudget({ ratio: 0.5, perSecond: 1, capacity: 2 }, () => now);
  const spendAll = (): number => {
    let spent = 0;
    while (budget.spend()) spent += 1;
    return spent;
  };
  t.equal(spendAll(), 2);
  budget.earn();
  t.equal(spendAll(), 0);
  budget.earn();
  t.equal(spendAll(), 1);
  now = 1000;
  t.equal(spendAll(), 1);
  now = 1_000_000;
  t.equal(spendAll(), 2);
});
