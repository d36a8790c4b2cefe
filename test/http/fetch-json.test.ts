import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Server } from 'node:net';
import t, { type Test } from 'tap';

import { issue, makeAuthority, validFor } from '../../src/certs/authority.ts';
import { fetchJson } from '../../src/http/fetch-json.ts';
import { OutgoingError } from '../../src/http/outgoing.ts';
import { isPublicAddress } from '../../src/http/public-address.ts';

async function started(t: Test, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

const serving = async (t: Test, answer: RequestListener) =>
  `http://127.0.0.1:${await started(
    t,
    createServer(answer).on('connection', (socket) => t.teardown(() => socket.destroy())),
  )}/keys`;

const code = (work: Promise<unknown>) =>
  work.then(
    () => 'fetched',
    (error: unknown) => (error instanceof OutgoingError ? error.code : String(error)),
  );

t.test('a document', async (t) => {
  const url = await serving(t, (_request, response) => response.end('{"keys":[]}'));
  t.same(await fetchJson(url), { keys: [] });
});

t.test('one that is redirected is not followed', async (t) => {
  let asked = 0;
  const target = await serving(t, (_request, response) => {
    asked += 1;
    response.end('{}');
  });
  for (const status of [301, 302, 303, 307, 308]) {
    const url = await serving(t, (_request, response) => response.writeHead(status, { location: target }).end('{}'));
    t.equal(await code(fetchJson(url)), 'NO_ANSWER', String(status));
  }
  t.equal(asked, 0);
});

t.test('one that is huge is cut off', async (t) => {
  let cutOff = false;
  const url = await serving(t, (_request, response) => {
    response.on('close', () => {
      cutOff = true;
    });
    const more = () => {
      while (response.write('"'.padEnd(65_536, 'x')));
      response.once('drain', more);
    };
    more();
  });
  t.equal(await code(fetchJson(url)), 'ANSWER_TOO_LARGE');
  while (!cutOff) await new Promise(setImmediate);
});

t.test('one that does not come, or drop by drop, has its time', async (t) => {
  const silent = await serving(t, () => undefined);
  t.equal(await code(fetchJson(silent, { timeoutMs: 100 })), 'NO_ANSWER');
  const slow = await serving(t, (_request, response) => {
    const timer = setInterval(() => response.write(' '), 10);
    response.on('close', () => clearInterval(timer));
  });
  t.equal(await code(fetchJson(slow, { timeoutMs: 100 })), 'NO_ANSWER');
});

for (const [why, answer] of Object.entries<RequestListener>({
  'an error': (_request, response) => response.writeHead(500).end('{}'),
  'no JSON': (_request, response) => response.end('<html>'),
  'not UTF-8': (_request, response) => response.end(Buffer.from([0x22, 0xff, 0x22])),
  'a packed one': (_request, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end('{}'),
  'a broken one': (_request, response) => {
    response.writeHead(200, { 'content-length': '100' }).write('{}');
    response.destroy();
  },
})) {
  t.test(`${why} is no document`, async (t) => {
    t.equal(await code(fetchJson(await serving(t, answer))), 'NO_ANSWER');
  });
}

t.test('over TLS only from whom the authorities know', async (t) => {
  const authority = await makeAuthority('an authority', validFor(Date.now(), 1));
  const other = await makeAuthority('another authority', validFor(Date.now(), 1));
  const names = [{ dns: 'localhost' }];
  const { key, cert } = await issue(authority, {
    commonName: 'localhost',
    names,
    usage: 'server',
    validity: validFor(Date.now(), 1),
  });
  const port = await started(
    t,
    createTlsServer({ key, cert }, (_request, response) => response.end('{}')),
  );
  t.same(await fetchJson(`https://localhost:${port}/`, { ca: authority.cert }), {});
  t.equal(await code(fetchJson(`https://localhost:${port}/`, { ca: other.cert })), 'NO_ANSWER');
  t.equal(await code(fetchJson(`https://localhost:${port}/`)), 'NO_ANSWER');
  t.equal(await code(fetchJson(`https://127.0.0.1:${port}/`, { ca: authority.cert })), 'NO_ANSWER', 'another name');
});

t.test('where others name the place, it is on the public net', async (t) => {
  let asked = 0;
  const url = await serving(t, (_request, response) => {
    asked += 1;
    response.end('{}');
  });
  const { port } = new URL(url);
  for (const host of ['127.0.0.1', 'localhost', '[::1]', '[::ffff:127.0.0.1]', '0x7f.1', '2130706433']) {
    t.equal(await code(fetchJson(`http://${host}:${port}/`, { publicOnly: true, timeoutMs: 1000 })), 'NO_ANSWER', host);
  }
  t.equal(asked, 0);
});

t.test('public addresses', async (t) => {
  for (const address of ['1.1.1.1', '192.0.1.1', '172.32.0.1', '2606:4700:4700::1111', '2001:4860:4860::8888']) {
    t.ok(isPublicAddress(address), address);
  }
  for (const address of [
    '0.0.0.0',
    '10.1.2.3',
    '100.64.0.1',
    '127.0.0.1',
    '169.254.169.254',
    '172.16.0.1',
    '192.168.1.1',
    '198.18.0.1',
    '224.0.0.1',
    '255.255.255.255',
    '::',
    '::1',
    '::ffff:1.1.1.1',
    '64:ff9b::a00:1',
    'fc00::1',
    'fe80::1',
    'fe80::1%lo',
    'ff02::1',
    '2001:db8::1',
    '2002:a00:1::1',
    '2001::1',
    'localhost',
    '',
  ]) {
    t.notOk(isPublicAddress(address), address);
  }
});
