import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import t from 'tap';

import { type Issued, issue, newKey, validFor } from '../../src/certs/authority.ts';
import { testCa } from '../certs/authorities.ts';
import { inForce } from '../certs/material.ts';
import type { Tap } from '../support/postgres.ts';
import { until } from '../support/process.ts';
import { type TestService, testService } from '../support/service.ts';
import { mountedSecret, type OwnFiles, ownFiles } from '../trust/mounted.ts';

const READ = 'GET /v1/workspaces/demo/agents HTTP/1.1\r\nHost: localhost\r\n\r\n';
/** Past the checks of who calls, and waiting for the rest of its body. */
const HALF =
  'POST /v1/workspaces/demo/agents HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{';
const key = await newKey();

/** One with files of its own to change. */
async function startOn(t: Tap, files: OwnFiles, change: Parameters<typeof testService>[1] = {}) {
  return testService(t, { ...change, api: files.api, identity: files.identity });
}

/** A connection that stays open, and what became of it. */
async function open(world: TestService, pair: Issued) {
  const ca = await readFile(join(world.certsDir, 'ca.crt'), 'utf8');
  const port = Number(new URL(world.service.apiUrl).port);
  const socket: TLSSocket = connect({ port, host: '127.0.0.1', servername: 'localhost', ca, ...pair });
  await once(socket, 'secureConnect');
  let [text, closed] = ['', false];
  socket.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  socket
    .on('error', () => undefined)
    .once('close', () => {
      closed = true;
    });
  t.teardown(() => socket.destroy());
  return {
    /** The status of its answer; 0 when the connection ends without one. */
    ask: async (request = READ) => {
      text = '';
      socket.write(request);
      await until('an answer', () => /\r\n\r\n/.test(text) || closed);
      return Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0);
    },
    send: (bytes: string) => socket.write(bytes),
    isClosed: () => closed,
    /** The server's certificate, PEM. */
    shown: () => socket.getPeerX509Certificate()?.toString(),
  };
}

const devPair = async (world: TestService, who: string): Promise<Issued> => ({
  cert: await readFile(join(world.certsDir, `${who}.crt`), 'utf8'),
  key: await readFile(join(world.certsDir, `${who}.key`), 'utf8'),
});

async function events(world: TestService, type: string) {
  const { body } = await world.call('auditor', 'GET', `/v1/audit/events?type=${type}&limit=500`);
  return body.events.map(({ payload }: { payload: unknown }) => payload);
}

async function metric(world: TestService, name: string): Promise<string | undefined> {
  const text = await (await fetch(`${world.service.opsUrl}/metrics`)).text();
  return text.split('\n').find((line) => line.startsWith(`castellan_${name} `));
}

async function mapWith(files: OwnFiles, change: (entry: { id: string; roles: string[] }) => object | undefined) {
  const map = JSON.parse(await files.read('identity-map.json'));
  await files.put(
    'identity-map.json',
    JSON.stringify({ principals: map.principals.flatMap((one: never) => change(one) ?? []) }),
  );
}

t.test('an entry that is gone ends its connections on every replica, also with a request under way', async (t) => {
  const files = await ownFiles(t);
  const one = await startOn(t, files);
  const two = await startOn(t, files, { replicaOf: one });
  const [operator, approver] = [await devPair(one, 'operator'), await devPair(one, 'kernel-approver')];
  const [idle, busy, elsewhere] = [await open(one, operator), await open(one, operator), await open(two, operator)];
  const [good, goodBusy] = [await open(one, approver), await open(one, await devPair(one, 'orchestrator'))];
  for (const connection of [idle, busy, elsewhere, good, goodBusy]) t.equal(await connection.ask(), 200);
  busy.send(HALF);
  goodBusy.send(HALF);

  await mapWith(files, (entry) => (entry.id === 'operator' ? undefined : entry));
  await until('they are closed', () => [idle, busy, elsewhere].every((connection) => connection.isClosed()), 5_000);
  t.equal(await good.ask(), 200, 'the others stay');
  t.notOk(goodBusy.isClosed());
  t.equal(await (await open(one, operator)).ask(), 401, 'and it does not come back');

  await until('both have written it', async () => (await events(one, 'identity.map.applied')).length === 3);
  const written = await events(one, 'identity.map.applied');
  t.match(written[0], { closedConnections: 0 }, 'that of the first start; the second replica found nothing new');
  t.same(
    written
      .slice(1)
      .map(({ closedConnections }: { closedConnections: number }) => closedConnections)
      .sort(),
    [1, 2],
  );
  t.equal(
    await metric(one, 'connections_ended_total{reason="NOT_IN_IDENTITY_MAP"}'),
    'castellan_connections_ended_total{reason="NOT_IN_IDENTITY_MAP"} 2',
  );
});

t.test('changed roles count on the next request of the same connection', async (t) => {
  const files = await ownFiles(t);
  const world = await startOn(t, files);
  const operator = await open(world, await devPair(world, 'operator'));
  const create = () => {
    const body = JSON.stringify({ spec: { name: 'one' } });
    return `POST /v1/workspaces/demo/agents HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  };
  t.equal(await operator.ask(create()), 201);
  await mapWith(files, (entry) => (entry.id === 'operator' ? { ...entry, roles: ['kernel-approver'] } : entry));
  await until('it is in force', async () => (await events(world, 'identity.map.applied')).length === 2, 5_000);
  t.equal(await operator.ask(create()), 403);
  t.equal(await operator.ask(), 200);
  t.notOk(operator.isClosed());
});

t.test('an authority that is removed takes its clients with it, and no others', async (t) => {
  const files = await ownFiles(t);
  const second = await testCa({ commonName: 'second', key });
  await files.put('ca.crt', files.authority.cert + second.cert);
  const world = await startOn(t, files);
  const names = [{ uri: 'spiffe://castellan.dev/human/operator' }];
  const request = { commonName: 'operator', names, usage: 'client' as const, validity: inForce };
  const theirs = await issue(second, request, key);
  const [idle, busy] = [await open(world, theirs), await open(world, theirs)];
  const good = await open(world, await devPair(world, 'operator'));
  for (const connection of [idle, busy, good]) t.equal(await connection.ask(), 200);
  busy.send(HALF);

  await files.put('ca.crt', files.authority.cert);
  await until('they are closed', () => idle.isClosed() && busy.isClosed(), 5_000);
  t.equal(await good.ask(), 200);
  t.equal(await (await open(world, theirs)).ask().catch(() => 0), 0, 'refused at the handshake');
  await until('it is written', async () => (await events(world, 'trust.bundle.applied')).length === 2);
  t.match((await events(world, 'trust.bundle.applied')).at(-1), { authorities: 1, closedConnections: 2 });

  // And one that is added lets its clients in, on connections made from then on.
  await files.put('ca.crt', files.authority.cert + second.cert);
  await until('it is in force', async () => (await (await open(world, theirs)).ask().catch(() => 0)) === 200, 5_000);
});

t.test('what cannot be used changes nothing, and is told', async (t) => {
  const files = await ownFiles(t);
  const world = await startOn(t, files);
  const operator = await open(world, await devPair(world, 'operator'));
  t.equal(await operator.ask(), 200);
  await files.put('ca.crt', files.authority.cert.slice(0, 300));
  await files.put('identity-map.json', '{ "principals": [] ');
  await files.put('server.key', (await newKey()).toString());
  await until('three refusals', async () => (await events(world, 'identity.reload.refused')).length === 3, 5_000);
  t.same((await events(world, 'identity.reload.refused')).map(({ source }: { source: string }) => source).sort(), [
    'client_ca',
    'identity_map',
    'server_certificate',
  ]);
  t.equal(await operator.ask(), 200);
  t.equal((await world.call('operator', 'GET', '/v1/workspaces/demo/agents')).status, 200);
  t.match(await metric(world, 'identity_reloads_total{source="client_ca",outcome="refused"}'), / 1$/);
  t.equal((await fetch(`${world.service.opsUrl}/readyz`)).status, 200, 'what is in force is good');
});

t.test('a restart without a change writes nothing; with one it writes that one', async (t) => {
  const files = await ownFiles(t);
  const world = await startOn(t, files);
  const types = ['identity.map.applied', 'trust.bundle.applied', 'server.certificate.applied'];
  const counts = async () => Promise.all(types.map(async (type) => (await events(world, type)).length));
  t.same(await counts(), [1, 1, 1]);
  const again = await startOn(t, files, { replicaOf: world });
  t.same(await counts(), [1, 1, 1]);
  await again.service.close();

  const { mapFile } = files.identity;
  const changed = await ownFiles(t);
  await changed.put('identity-map.json', `${await readFile(mapFile, 'utf8')}\n`);
  await startOn(t, changed, { replicaOf: world });
  t.same(await counts(), [2, 1, 1]);
});

t.test('a mounted secret with another certificate is shown to the next client', async (t) => {
  const files = await ownFiles(t);
  const secret = await mountedSecret(t, ['tls.crt', 'tls.key', 'ca.crt']);
  const names = [{ dns: 'localhost' }, { ip: '127.0.0.1' }];
  const [first, next] = await Promise.all(
    [30, 3].map((days) =>
      issue(
        files.authority,
        { commonName: 'localhost', names, usage: 'server', validity: validFor(Date.now(), days) },
        key,
      ),
    ),
  );
  const update = (pair: Issued | undefined) =>
    secret.update({ 'tls.crt': pair?.cert ?? '', 'tls.key': pair?.key ?? '', 'ca.crt': files.authority.cert });
  await update(first);
  let now = Date.now();
  const world = await testService(t, {
    clock: () => now,
    api: { certFile: secret.path('tls.crt'), keyFile: secret.path('tls.key'), clientCaFile: secret.path('ca.crt') },
  });
  const kept = await open(world, await devPair(world, 'operator'));
  t.equal(await kept.ask(), 200);
  await update(next);
  const days = async () => Number((await metric(world, 'certificate_days_left{certificate="server"}'))?.split(' ')[1]);
  await until('it is in force', async () => (await days()) < 4, 5_000);
  const other = await open(world, await devPair(world, 'operator'));
  t.equal(await other.ask(), 200);
  t.equal(other.shown(), next?.cert);
  t.equal(await kept.ask(), 200);
  t.equal(kept.shown(), first?.cert, 'and not to one that is there');

  now += 4 * 86_400_000;
  await until('not ready', async () => (await fetch(`${world.service.opsUrl}/readyz`)).status === 503, 5_000);
  const readiness: unknown = await (await fetch(`${world.service.opsUrl}/readyz`)).json();
  t.match(readiness, { checks: { certificates: { ok: false, detail: 'TRUST_EXPIRED' } } });
});
