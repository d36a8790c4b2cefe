import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import t, { type Test } from 'tap';

import type { EgressLimits } from '../../src/egress/session.ts';
import { eventually, lastLine, listening, PUBLIC, proxyFor, statusOf, tcpServer, until, worldOf } from './support.ts';

const NAMES = { 'a.example': [PUBLIC], 'b.example': ['9.9.9.9'] };

async function forwarding(t: Test, answer: RequestListener, limits: Partial<EgressLimits> = {}) {
  const world = worldOf(NAMES, await listening(t, createServer(answer)));
  return { ...world, ...(await proxyFor(t, { rules: world.rules, limits })) };
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request.setEncoding('latin1')) text += chunk;
  return text;
}

const mirror: RequestListener = async (request, response) => {
  const { method, url, headers } = request;
  response.end(JSON.stringify({ method, url, headers, body: await bodyOf(request) }));
};

t.test('a request is written anew, without what is for the proxy or for one connection', async (t) => {
  const { open, ended } = await forwarding(t, mirror);
  const client = open();
  client.write(
    [
      'GET http://A.example:80/path?q=%20 HTTP/1.1',
      'Host: a.EXAMPLE.',
      'Proxy-Authorization: Basic c2VjcmV0',
      'Proxy-Connection: keep-alive',
      'Connection: keep-alive, X-Hop, Upgrade',
      'X-Hop: 1',
      'Upgrade: websocket',
      'TE: trailers',
      'Keep-Alive: timeout=5',
      'X-Stays: a',
      'X-Stays: b',
      '\r\n',
    ].join('\r\n'),
  );
  const answer = await until(client, '}');
  client.destroy();
  t.same(JSON.parse(lastLine(answer) ?? ''), {
    method: 'GET',
    url: '/path?q=%20',
    headers: { host: 'a.example', 'x-stays': 'a, b', connection: 'close' },
    body: '',
  });
  await eventually(() => ended.length === 1, 'a decision');
  t.match(ended, [{ host: 'a.example', port: 80, verdict: 'allowed' }]);
  t.ok((ended[0]?.bytesOut ?? 0) > 100, 'headers are bytes that leave, too');
});

t.test('bodies, each framed as it was', async (t) => {
  const { open } = await forwarding(t, mirror);
  const cases: [string, string, Record<string, string>][] = [
    ['Content-Length: 3\r\n\r\nabc', 'abc', { 'content-length': '3' }],
    [
      'Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n2;x=y\r\nbc\r\n0\r\nTrailer: no\r\n\r\n',
      'abc',
      { 'transfer-encoding': 'chunked' },
    ],
    ['\r\n', '', { 'content-length': '0' }],
  ];
  for (const [rest, body, framing] of cases) {
    const client = open();
    client.write(`POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\n${rest}`);
    const seen = JSON.parse(lastLine(await until(client, '}')) ?? '');
    client.destroy();
    t.same(
      { body: seen.body, headers: seen.headers },
      {
        body,
        headers: { host: 'a.example', ...framing, connection: 'close' },
      },
    );
  }
});

t.test('a body after 100-continue', async (t) => {
  const { open } = await forwarding(t, mirror);
  const client = open();
  client.write(
    'POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n',
  );
  t.equal(await until(client, '\r\n\r\n'), 'HTTP/1.1 100 Continue\r\n\r\n');
  client.write('abc');
  t.equal(JSON.parse(lastLine(await until(client, '}')) ?? '').body, 'abc');
  client.destroy();
});

t.test('on one connection every request is decided for itself', async (t) => {
  const { open, dialled, proxy } = await forwarding(t, (request, response) => response.end(`${request.headers.host}.`));
  const client = open();
  const get = (host: string) => client.write(`GET http://${host}/ HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  get('a.example');
  t.match(await until(client, 'a.example.'), /^HTTP\/1\.1 200 /);
  get('b.example');
  t.match(await until(client, 'b.example.'), /^HTTP\/1\.1 200 /);
  get('evil.test');
  t.equal(statusOf(await until(client, 'NOT_ON_ALLOWLIST\n')), 403);
  await once(client.resume(), 'end');
  t.same(dialled, [`${PUBLIC}:80`, '9.9.9.9:80'], 'the connection to the first is not used for the second');
  t.same(
    proxy.decisions.map(({ host, verdict }) => [host, verdict]),
    [
      ['a.example', 'allowed'],
      ['b.example', 'allowed'],
      ['evil.test', 'denied'],
    ],
  );
});

t.test('requests that are none for a proxy, or say two things', async (t) => {
  const { say, dialled } = await forwarding(t, mirror);
  const cases: [string, string, number][] = [
    ['GET / HTTP/1.1\r\nHost: a.example', 'BAD_TARGET', 400],
    ['GET * HTTP/1.1\r\nHost: a.example', 'BAD_TARGET', 400],
    ['OPTIONS * HTTP/1.1\r\nHost: a.example', 'BAD_TARGET', 400],
    ['GET https://a.example/ HTTP/1.1\r\nHost: a.example', 'BAD_TARGET', 400],
    ['GET ftp://a.example/ HTTP/1.1\r\nHost: a.example', 'BAD_TARGET', 400],
    ['GET http://u:p@a.example/ HTTP/1.1\r\nHost: a.example', 'BAD_TARGET', 400],
    ['GET http:///x HTTP/1.1\r\nHost: a.example', 'BAD_TARGET', 400],
    ['GET http://a.example\\@evil.test/ HTTP/1.1\r\nHost: a.example', 'BAD_REQUEST', 400],
    ['GET http://evil.test/ HTTP/1.1\r\nHost: evil.test', 'NOT_ON_ALLOWLIST', 403],
    ['GET http://evil.test/ HTTP/1.1\r\nHost: a.example', 'HOST_MISMATCH', 400],
    ['GET http://a.example/ HTTP/1.1\r\nHost: evil.test', 'HOST_MISMATCH', 400],
    ['GET http://a.example/ HTTP/1.1\r\nHost: b.example', 'HOST_MISMATCH', 400],
    ['GET http://a.example/ HTTP/1.1\r\nHost: a.example:443', 'HOST_MISMATCH', 400],
    ['GET http://a.example:443/ HTTP/1.1\r\nHost: a.example', 'HOST_MISMATCH', 400],
    ['GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\nHost: a.example', 'BAD_REQUEST', 400],
    ['TRACE http://a.example/ HTTP/1.1\r\nHost: a.example', 'BAD_REQUEST', 400],
  ];
  for (const [head, code, status] of cases) {
    const answer = await say(`${head}\r\n\r\n`);
    t.equal(lastLine(answer), code, head);
    t.equal(statusOf(answer), status, head);
  }
  t.same(dialled, []);
});

t.test('answers of hosts that do not keep to the rules', async (t) => {
  const cases: [string, string, number][] = [
    [
      'an upgrade nobody asked for',
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n',
      502,
    ],
    ['no HTTP', 'SSH-2.0-x\r\n', 502],
    ['nothing', '', 502],
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab', 502],
    ['a length and chunks', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 502],
    ['a head without end', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(100_000)}`, 502],
  ];
  for (const [what, text, status] of cases) {
    const port = await tcpServer(t, (socket) => socket.once('data', () => socket.end(text)));
    const { say } = await proxyFor(t, { rules: worldOf(NAMES, port).rules });
    t.equal(statusOf(await say('GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n')), status, what);
  }
});

t.test('an answer that ends too early does not look whole', async (t) => {
  const port = await tcpServer(t, (socket) =>
    socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc')),
  );
  const { open, ended } = await proxyFor(t, { rules: worldOf(NAMES, port).rules });
  const client = open();
  client.write('GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n');
  t.match(await until(client, 'abc'), /content-length: 9/);
  await once(client, 'end');
  client.destroy();
  await eventually(() => ended.length === 1, 'a decision');
  t.match(ended, [{ verdict: 'allowed', code: 'UNREACHABLE' }]);
});

t.test('HEAD, 204 and 304 have no body', async (t) => {
  const { open } = await forwarding(t, (request, response) => {
    const status = Number(request.url?.slice(1));
    response.writeHead(status, { 'x-last': 'yes', ...(status === 204 ? {} : { 'content-length': '5' }) }).end();
  });
  const client = open();
  for (const [method, status] of [
    ['HEAD', 200],
    ['GET', 204],
    ['GET', 304],
  ] as const) {
    client.write(`${method} http://a.example/${status} HTTP/1.1\r\nHost: a.example\r\n\r\n`);
    t.equal(statusOf(await until(client, '\r\n\r\n')), status, 'the connection goes on');
  }
  client.destroy();
});

t.test('a client that goes away takes its request along', async (t) => {
  let gone = false;
  const { open, ended } = await forwarding(t, (request, response) => {
    // Nobody can tell one that has gone from one that only sends no more, before something is written to it.
    const more = setInterval(() => response.write('more'), 10);
    request.socket.once('close', () => {
      clearInterval(more);
      gone = true;
    });
    response.write('begun');
  });
  const client = open();
  client.write('GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n');
  await until(client, 'begun\r\n');
  client.destroy();
  await eventually(() => gone && ended.length === 1, 'the end at the server');
  t.equal(ended[0]?.code, undefined, 'which is nobody else’s doing');
});

t.test('a client that says at once that it sends no more gets its answer, and no longer than others', async (t) => {
  const { open, ended } = await forwarding(
    t,
    async (request, response) => {
      if (request.url === '/never') return;
      setImmediate(() => response.end('late'));
    },
    { halfOpenMs: 200 },
  );
  for (const [path, expected] of [
    ['/', 200],
    ['/never', 504],
  ] as const) {
    const client = open();
    client.end(`GET http://a.example${path} HTTP/1.1\r\nHost: a.example\r\n\r\n`);
    let text = '';
    client.on('data', (chunk) => {
      text += chunk;
    });
    await once(client, 'end', { signal: AbortSignal.timeout(5000) });
    t.equal(statusOf(text), expected, path);
    client.destroy();
  }
  await eventually(() => ended.length === 2, 'both have ended');
});
