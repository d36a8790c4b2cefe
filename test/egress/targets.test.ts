import { readFileSync } from 'node:fs';
import t from 'tap';

import { lastLine, PUBLIC, proxyFor, statusOf, tcpServer, worldOf } from './support.ts';

interface Hostile {
  readonly target: string;
  readonly code: string;
  readonly why: string;
}

const HOSTILE: readonly Hostile[] = JSON.parse(
  readFileSync(new URL('./hostile-targets.json', import.meta.url), 'utf8'),
);
const NAMES: Record<string, string[]> = {
  'a.example': [PUBLIC],
  'x.c.example': [PUBLIC, '2606:4700:4700::1111'],
  'private.c.example': ['10.0.0.1'],
  'cgnat.c.example': ['100.64.0.1'],
  'loopback.c.example': ['127.0.0.1'],
  'loopback6.c.example': ['::1'],
  'zero.c.example': ['0.0.0.0'],
  'linklocal.c.example': ['169.254.169.254'],
  'wireserver.c.example': ['168.63.129.16'],
  'linklocal6.c.example': ['fe80::1'],
  'unique.c.example': ['fd00:ec2::254'],
  'multicast.c.example': ['224.0.0.1'],
  'broadcast.c.example': ['255.255.255.255'],
  'mapped.c.example': ['::ffff:10.0.0.1'],
  'nat64.c.example': ['64:ff9b::a00:1'],
  'sixtofour.c.example': ['2002:a00:1::1'],
  'teredo.c.example': ['2001:0:a00:1::1'],
  'one-of-three.c.example': [PUBLIC, '192.168.1.1', PUBLIC],
};
const STATUS: Record<string, number> = { BAD_TARGET: 400, NAME_NOT_FOUND: 502 };

t.test('targets that are refused, by CONNECT and as a URL', async (t) => {
  const world = worldOf(NAMES, 1);
  const { say, proxy } = await proxyFor(t, { rules: world.rules });
  for (const { target, code, why } of HOSTILE) {
    const heads = [`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`];
    // As a URL some of them are something else: without a port, with a path.
    if (/^[^/#]+:[1-9]\d*$/.test(target)) heads.push(`GET http://${target}/ HTTP/1.1\r\nHost: ${target}\r\n\r\n`);
    for (const head of heads) {
      const answer = await say(head);
      const parsed = lastLine(answer) !== 'BAD_REQUEST'; // Some are no request for the parser, which is as well.
      t.equal(statusOf(answer), parsed ? (STATUS[code] ?? 403) : 400, `${head.split(' ')[0]} ${target}: ${why}`);
      if (parsed) t.equal(lastLine(answer), code, target);
    }
  }
  t.same(world.dialled, []);
  t.ok(proxy.decisions.every(({ verdict, bytesIn, bytesOut }) => verdict === 'denied' && bytesIn + bytesOut === 0));
  t.ok(
    world.asked.every((host) => host.endsWith('.c.example')),
    'only names that are allowed are looked up',
  );
});

t.test('spellings of a host that is allowed', async (t) => {
  const port = await tcpServer(t, (socket) => socket.end('served'));
  for (const target of ['a.example:443', 'A.EXAMPLE:80', 'a.example.:443', 'x.c.example:443', 'x.C.example.:80']) {
    const world = worldOf(NAMES, port);
    const { say } = await proxyFor(t, { rules: world.rules });
    t.equal(lastLine(await say(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`)), 'served', target);
    t.same(world.dialled, [`${PUBLIC}:${target.split(':')[1]}`], 'what was looked up is what is dialled');
    t.equal(world.asked.length, 1, 'once');
  }
});

t.test('hosts of an internal network', async (t) => {
  const port = await tcpServer(t, (socket) => socket.end('served'));
  const names = {
    'a.example': ['10.1.2.3'],
    'b.example': ['fd12::1', PUBLIC],
    'lo.c.example': ['127.0.0.1'],
    'll.c.example': ['169.254.169.254'],
    'v6.c.example': ['fd00:ec2::254'],
    'ali.c.example': ['100.100.100.200'],
    'mapped.c.example': ['::ffff:100.100.100.200'],
    'other.test': ['10.1.2.3'],
  };
  const internal = Object.keys(names).map((host) => ({ host, port: 8080 }));
  const world = worldOf(names, port, internal);
  const { say } = await proxyFor(t, { rules: world.rules });
  const tried = async (target: string) => lastLine(await say(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`));
  t.equal(await tried('a.example:8080'), 'served', 'a private address, as the operator says');
  t.equal(await tried('b.example:8080'), 'served', 'a private and a public one');
  t.equal(await tried('a.example:443'), 'ADDRESS_NOT_PUBLIC', 'only the port that was said');
  t.equal(await tried('a.example:8081'), 'PORT_NOT_ALLOWED');
  for (const host of ['lo', 'll', 'v6', 'ali', 'mapped'])
    t.equal(await tried(`${host}.c.example:8080`), 'ADDRESS_NOT_PUBLIC', host);
  t.equal(await tried('other.test:8080'), 'NOT_ON_ALLOWLIST', 'it does not put a host on an allowlist');
});
