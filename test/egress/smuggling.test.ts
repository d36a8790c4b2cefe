import { readFileSync } from 'node:fs';
import t from 'tap';

import { PUBLIC, proxyFor, statusOf, tcpServer, worldOf } from './support.ts';

const CASES: readonly { readonly lines: string; readonly why: string }[] = JSON.parse(
  readFileSync(new URL('./smuggling.json', import.meta.url), 'utf8'),
);

t.test('a head that somebody could read in another way reaches nobody', async (t) => {
  const world = worldOf({ 'a.example': [PUBLIC] }, 1);
  const { say } = await proxyFor(t, { rules: world.rules });
  for (const { lines, why } of CASES) {
    const head = `POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\n${lines}\r\n\r\n`;
    const answer = await say(`${head}0\r\n\r\nGET http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n`);
    t.equal(statusOf(answer), 400, why);
    t.equal(answer.split('HTTP/1.1 ').length, 2, 'one answer, and the connection is closed');
  }
  t.same(world.dialled, []);
});

t.test('chunks that are none', async (t) => {
  const received: string[] = [];
  const port = await tcpServer(t, (socket) => socket.on('data', (chunk) => received.push(String(chunk))));
  const bodies = [
    'g\r\n',
    '-1\r\n',
    '0x3\r\nabc',
    '3\nabc\n',
    '3 \r\nabcd\r\n',
    'ffffffffffffffff1\r\n',
    '3\r\nabcd\r\n',
  ];
  for (const body of bodies) {
    const { say } = await proxyFor(t, { rules: worldOf({ 'a.example': [PUBLIC] }, port).rules });
    const head = 'POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n';
    t.equal(await say(head + body), '', `the connection ends: ${JSON.stringify(body)}`);
  }
  t.notOk(received.join('').includes('\r\n0\r\n\r\n'), 'and no such body looks whole to the server');
});

t.test('a second request before the answer to the first', async (t) => {
  const received: string[] = [];
  const port = await tcpServer(t, (socket) => socket.on('data', (chunk) => received.push(String(chunk))));
  const world = worldOf({ 'a.example': [PUBLIC] }, port);
  const get = 'GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n';
  for (const second of [get, 'CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n']) {
    const { say, proxy } = await proxyFor(t, { rules: world.rules });
    t.equal(await say(get + second.repeat(1000)), '', 'ends the connection');
    t.ok(proxy.decisions.length <= 1, 'and is never decided');
  }
});
