import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import t from 'tap';

import { CastellanError, createExternalRuntime } from '../../packages/client/src/index.ts';
import {
  AGENT,
  certsDir,
  clientOf,
  failure,
  faultyServer,
  json,
  problem,
  reset,
  STATUS,
  silence,
} from './support/faulty.ts';

const TOKEN = 'canary-0123456789abcdef-token';

t.test('no token and no key in errors, hooks or what is printed', async (t) => {
  const key = readFileSync(join(await certsDir(), 'operator.key'), 'utf8');
  const secrets = [TOKEN, ...key.split('\n').filter((line) => line.length > 40 && !line.startsWith('-'))];
  const said: unknown[] = [];
  const hear = (event: unknown): void => void said.push(event);
  const hooks = { onRequest: hear, onResponse: hear, onRetry: hear, onCertificates: hear };
  const server = await faultyServer(t, json(200, STATUS));
  const gone = await faultyServer(t, silence);
  await gone.close();
  const options = { token: TOKEN, hooks, clientKeyPemRef: { pem: key }, retry: { maxAttempts: 2 } };
  const client = await clientOf(t, [server], options);
  server.script(
    reset,
    reset,
    problem(401, 'UNAUTHENTICATED'),
    json(200, []),
    problem(503, 'X'),
    problem(429, 'X'),
    silence,
  );
  for (let call = 0; call < 5; call += 1)
    said.push(await failure(client.request('getAgentStatus', AGENT, { deadlineMs: 300 })));
  const lost = await clientOf(t, [gone], options);
  said.push(await failure(lost.request('getAgentStatus', AGENT)));
  said.push(await failure(lost.request('getAgentStatus', AGENT, { signal: AbortSignal.abort() })));
  const certs = await certsDir();
  const refs = { caCertPemRef: join(certs, 'ca.crt'), clientCertPemRef: join(certs, 'auditor.crt') };
  const pair = { serverUrls: [server.url], ...refs, clientKeyPemRef: { pem: key }, token: TOKEN };
  said.push(await failure(createExternalRuntime(pair)));
  said.push(await failure(createExternalRuntime({ ...pair, clientKeyPemRef: { pem: key.slice(0, 900) } })));
  said.push(await failure(createExternalRuntime({ ...pair, token: `${TOKEN} ${TOKEN}` })));
  const provider = await clientOf(t, [server], {
    token: () => {
      throw new Error(`the source says ${TOKEN}`);
    },
  });
  said.push(await failure(provider.request('getAgentStatus', AGENT)));
  said.push(client, lost);
  t.ok(said.length > 20);
  t.equal(server.seen[0]?.headers.authorization, `Bearer ${TOKEN}`, 'the server is given it');
  for (const one of said) {
    const printed = [
      inspect(one, { depth: 20, showHidden: true }),
      JSON.stringify(one),
      one instanceof Error ? `${one.stack}` : '',
    ];
    for (const secret of secrets) t.notOk(printed.join('\n').includes(secret), `${one}`);
  }
});

t.test('a token provider is asked for every request, and its failure is an error of the call', async (t) => {
  const server = await faultyServer(t, json(200, STATUS));
  let made = 0;
  const client = await clientOf(t, [server], { token: async () => `token-${++made}` });
  server.script(reset);
  await client.request('getAgentStatus', AGENT);
  t.same(
    server.seen.map(({ headers }) => headers.authorization),
    ['Bearer token-1', 'Bearer token-2'],
  );
  const bad = await clientOf(t, [server], { token: () => 'a\r\nx: y' });
  t.match(await failure(bad.request('startAgent', AGENT)), { kind: 'credentials', attempts: 1, maybeApplied: false });
  const slow = await clientOf(t, [server], { token: () => new Promise<string>(() => undefined) });
  const late = await failure(slow.request('startAgent', AGENT, { deadlineMs: 100 }));
  t.match(late, { kind: 'timeout', code: 'DEADLINE_EXCEEDED', maybeApplied: false });
  t.equal(server.seen.length, 2);
});

t.test('hooks see each request; one that throws changes nothing', async (t) => {
  const server = await faultyServer(t, json(200, STATUS, { 'x-request-id': 'r-1' }));
  const events: object[] = [];
  const warnings: unknown[] = [];
  const hear = (warning: unknown): void => void warnings.push(warning);
  process.on('warning', hear);
  t.teardown(() => process.off('warning', hear));
  const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
  const client = await clientOf(t, [server], {
    traceparent: () => traceparent,
    hooks: {
      onRequest: (event) => {
        events.push(event);
        throw new Error(TOKEN);
      },
      onResponse: (event) => events.push(event),
    },
  });
  await client.request('getAgentStatus', AGENT);
  const path = '/v1/workspaces/demo/agents/01890000-0000-7000-8000-000000000000/status';
  const common = { operation: 'getAgentStatus', method: 'GET', path, server: server.url, attempt: 1, traceparent };
  t.match(events, [common, { ...common, status: 200, requestId: 'r-1', replayed: false, durationMs: Number }]);
  t.equal(server.seen[0]?.headers['traceparent'], traceparent);
  t.notOk(inspect(warnings).includes(TOKEN));
  const untraced = await clientOf(t, [server], { traceparent: () => 'nonsense\r\nx: y' });
  await untraced.request('getAgentStatus', AGENT);
  t.equal(server.seen[1]?.headers['traceparent'], undefined);
  t.ok(new CastellanError('x', { kind: 'usage', code: 'USAGE' }) instanceof Error);
});
