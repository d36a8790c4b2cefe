import { copyFile, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';

import { type CertificateEvent, createClient } from '../../packages/client/src/index.ts';
import { start, until } from '../support/process.ts';
import { AGENT, certsDir, clientOf, failure, faultyServer, json, STARTED, STATUS } from './support/faulty.ts';

const CLIENT = new URL('../../packages/client/src/index.ts', import.meta.url).href;

/** Files of a client of its own, at first those of `operator`. */
async function material(t: Test) {
  const certs = await certsDir();
  const dir = await mkdtemp(join(tmpdir(), 'castellan-test-client-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  const path = (name: string) => join(dir, name);
  const put = (who: string, kind: 'crt' | 'key') => copyFile(join(certs, `${who}.${kind}`), path(`client.${kind}`));
  await Promise.all([copyFile(join(certs, 'ca.crt'), path('ca.crt')), put('operator', 'crt'), put('operator', 'key')]);
  const refs = {
    caCertPemRef: path('ca.crt'),
    clientCertPemRef: path('client.crt'),
    clientKeyPemRef: path('client.key'),
  };
  return { certs, path, put, refs };
}

t.test('files that change under load are picked up, and no call fails', async (t) => {
  const { put, refs } = await material(t);
  const server = await faultyServer(t, json(200, STARTED));
  const events: CertificateEvent[] = [];
  const hooks = { onCertificates: (event: CertificateEvent) => events.push(event) };
  const client = await clientOf(t, [server], { ...refs, hooks, certificateCheckMs: 10, retry: { maxAttempts: 1 } });
  let stopped = false;
  const worker = async (): Promise<void> => {
    while (!stopped) await client.request('startAgent', AGENT);
  };
  const workers = Promise.all(Array.from({ length: 8 }, worker));
  const peer = (who: string) => until(`calls as ${who}`, () => server.seen.at(-1)?.peer === who);
  await peer('operator');
  for (const who of ['orchestrator', 'operator', 'orchestrator']) {
    const before = events.filter(({ state }) => state === 'kept').length;
    await put(who, 'crt');
    await until('the pair is seen not to match', () => events.filter(({ state }) => state === 'kept').length > before);
    await put(who, 'key');
    await peer(who);
  }
  stopped = true;
  await workers;
  t.equal(events.filter(({ state }) => state === 'reloaded').length, 3);
  t.equal(server.seen.filter(({ peer }) => peer === 'kernel-admin').length, 0);
});

t.test('a request under way finishes on its old connection', async (t) => {
  const { put, refs } = await material(t);
  const server = await faultyServer(t, json(200, STATUS));
  const held: ServerResponse[] = [];
  server.script((response) => held.push(response));
  const client = await clientOf(t, [server], { ...refs, certificateCheckMs: 3_600_000 });
  const first = client.request('getAgentStatus', AGENT);
  await until('the first request is there', () => held.length === 1);
  await put('orchestrator', 'crt');
  await put('orchestrator', 'key');
  t.equal(await client.reloadCertificates(), true);
  t.equal(await client.reloadCertificates(), false, 'nothing has changed since');
  await client.request('getAgentStatus', AGENT);
  const [asked] = server.seen;
  for (const response of held) if (asked !== undefined) json(200, STATUS)(response, asked);
  t.same((await first).body, STATUS);
  t.same(
    server.seen.map(({ peer }) => peer),
    ['operator', 'orchestrator'],
  );
});

t.test('files that cannot be used leave the last good ones in place, and say so once', async (t) => {
  const { certs, path, put, refs } = await material(t);
  const server = await faultyServer(t, json(200, STATUS));
  const events: CertificateEvent[] = [];
  const hooks = { onCertificates: (event: CertificateEvent) => events.push(event) };
  const client = await clientOf(t, [server], { ...refs, hooks, certificateCheckMs: 3_600_000 });
  const whole = await readFile(join(certs, 'orchestrator.crt'), 'utf8');
  const ca = await readFile(join(certs, 'ca.crt'), 'utf8');
  const key = await readFile(join(certs, 'orchestrator.key'), 'utf8');
  const broken: readonly (readonly [string, string, RegExp])[] = [
    ['client.crt', '', /not whole PEM/],
    ['client.crt', whole.slice(0, 700), /not whole PEM/],
    ['client.crt', `${whole}${whole.slice(0, 700)}`, /not whole PEM/],
    ['client.crt', whole.replace(/[A-Za-z]{40}/, 'A'.repeat(40)), /./],
    ['client.crt', whole, /not the key of/],
    ['client.key', key.slice(0, 500), /not an unencrypted PEM/],
    ['client.key', key, /not the key of/],
    ['ca.crt', `${ca}${ca.slice(0, 300)}`, /caCertPemRef is not whole/],
    ['ca.crt', 'hello', /caCertPemRef is not whole/],
  ];
  for (const [file, text, message] of broken) {
    await writeFile(path(file), text);
    t.equal(await client.reloadCertificates(), false);
    await client.reloadCertificates();
    const [event, ...more] = events.splice(0);
    t.match(event, { state: 'kept', error: { kind: 'credentials', message } }, `${file}: ${text.length} characters`);
    t.same(more, [], 'once');
    t.equal((await client.request('getAgentStatus', AGENT)).status, 200);
    await Promise.all([
      put('operator', 'crt'),
      put('operator', 'key'),
      copyFile(join(certs, 'ca.crt'), path('ca.crt')),
    ]);
    t.equal(await client.reloadCertificates(), false, 'as before');
  }
  await rename(path('client.crt'), path('gone'));
  t.equal(await client.reloadCertificates(), false);
  t.match(events, [{ state: 'kept', error: { message: /cannot be read/ } }]);
});

t.test('a server that is not known is not talked to', async (t) => {
  const { certs } = await material(t);
  const server = await faultyServer(t, json(200, STATUS));
  const ca = { pem: await readFile(join(certs, 'ca.crt'), 'utf8') };
  const identity = {
    clientCertPemRef: { pem: await readFile(join(certs, 'operator.crt'), 'utf8') },
    clientKeyPemRef: { pem: await readFile(join(certs, 'operator.key'), 'utf8') },
  };
  const asking = async (options: object, url = server.url) => {
    const client = await createClient({ serverUrls: [url], ...identity, ...options });
    t.teardown(() => client.close());
    return client.request('getAgentStatus', AGENT);
  };
  const refused = { kind: 'connection', code: 'TLS_REFUSED', attempts: 1, retryable: false };
  t.match(await failure(asking({})), refused, 'an authority that Node does not know');
  const misnamed = createServer({
    key: await readFile(join(certs, 'server.key')),
    cert: await readFile(join(certs, 'server.crt')),
  });
  await new Promise<void>((resolve) => misnamed.listen(0, '127.0.0.2', resolve));
  t.teardown(() => misnamed.close());
  const { port } = misnamed.address() as AddressInfo;
  t.match(await failure(asking({ caCertPemRef: ca }, `https://127.0.0.2:${port}`)), refused, 'another name');
  t.equal((await asking({ caCertPemRef: ca })).status, 200);
  t.equal(server.seen.length, 1);

  // The server ends the handshake, and all that TLS 1.3 shows of it is a connection that closes.
  const stranger = await createClient({ serverUrls: [server.url], caCertPemRef: ca, retry: { maxAttempts: 2 } });
  t.teardown(() => stranger.close());
  t.match(await failure(stranger.request('startAgent', AGENT)), { kind: 'connection', attempts: 2 });
  t.equal(server.seen.length, 1);
});

t.test('verify: false is loud', async (t) => {
  const { refs } = await material(t);
  const server = await faultyServer(t, json(200, STATUS));
  const warnings: unknown[] = [];
  const hear = (warning: unknown): void => void warnings.push(warning);
  process.on('warning', hear);
  t.teardown(() => process.off('warning', hear));
  const { caCertPemRef: _, ...identity } = refs;
  const client = await createClient({ serverUrls: [server.url], ...identity, verify: false });
  t.teardown(() => client.close());
  t.equal((await client.request('getAgentStatus', AGENT)).status, 200);
  await until('the warning', () => warnings.length > 0);
  t.match(warnings, [{ name: 'SecurityWarning', code: 'CASTELLAN_TLS_UNVERIFIED' }]);
});

t.test('no variable of the environment turns verification off', async (t) => {
  const { refs } = await material(t);
  const server = await faultyServer(t, json(200, STATUS));
  const { caCertPemRef: _, ...identity } = refs;
  const script = `
    import { createClient } from ${JSON.stringify(CLIENT)};
    const client = await createClient(${JSON.stringify({ serverUrls: [server.url], ...identity })});
    await client.request('getAgentStatus', ${JSON.stringify(AGENT)}).catch((error) => console.log(error.code));
    await client.close();`;
  const running = start(t, ['--input-type=module', '--eval', script], { NODE_TLS_REJECT_UNAUTHORIZED: '0' });
  t.match(await running.exited, { code: 0 }, running.stderr());
  t.equal(running.stdout().trim(), 'TLS_REFUSED', running.stderr());
  t.equal(server.seen.length, 0);
});
