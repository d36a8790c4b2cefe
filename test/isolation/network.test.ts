import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';

import { createEgressRules } from '../../src/egress/rules.ts';
import { isolationTest } from '../support/isolation.ts';
import { watchLeftovers } from '../support/leftovers.ts';
import { type OpenedIsolation, openIsolation, openSandbox, runIn } from './support/attack.ts';
import { python } from './support/python.ts';

isolationTest(t);

const execute = promisify(execFile);
const PUBLIC = '1.1.1.1';
/** By number, for Python does not know them all: what no network namespace holds, or nobody needs. */
const FAMILIES = [
  ['key', 15],
  ['packet', 17],
  ['rds', 21],
  ['can', 29],
  ['tipc', 30],
  ['bluetooth', 31],
  ['alg', 38],
  ['vsock', 40],
  ['kcm', 41],
  ['qipcrtr', 42],
  ['smc', 43],
  ['xdp', 44],
] as const;

/** Tries to reach this machine and the net by every way there is, and says what came of each. */
const ATTEMPTS = `
def tcp(where, family=socket.AF_INET):
    s = socket.socket(family, socket.SOCK_STREAM); s.settimeout(3)
    try: s.connect(where); return s.recv(9)
    finally: s.close()
def udp(where, family=socket.AF_INET):
    s = socket.socket(family, socket.SOCK_DGRAM); s.settimeout(3)
    try: s.sendto(b'\\0' * 12, where); return s.recv(9)
    finally: s.close()
`;

/** A server of this machine that counts who comes. */
async function counting(t: Test, server: Server, where: { host?: string; port?: number; path?: string }) {
  let came = 0;
  server.on('connection', (socket: Socket) => {
    came += 1;
    socket.on('error', () => undefined);
  });
  server.listen(where);
  await once(server, 'listening');
  t.teardown(() => server.close());
  return { server, came: () => came };
}

function portOf(server: Server): number {
  const address: AddressInfo | string | null = server.address();
  if (address === null || typeof address === 'string') throw new TypeError('no port');
  return address.port;
}

const hello = () => createServer((socket) => socket.end('hello'));

/** This machine with servers of every kind, and a program that tries to reach them. */
async function hostServers(t: Test) {
  const dir = await mkdtemp(join(tmpdir(), 'c-network-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  await chmod(dir, 0o777);
  const path = join(dir, 'socket');
  const abstract = `\0castellan-${randomUUID()}`;
  const tcp = await counting(t, hello(), { host: '0.0.0.0', port: 0 });
  const byPath = await counting(t, hello(), { path });
  await chmod(path, 0o777);
  const byName = await counting(t, hello(), { path: abstract });
  const port = portOf(tcp.server);
  const own = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  const addresses = own.filter(({ family }) => family === 'IPv4').map(({ address }) => address);
  const local = `${ATTEMPTS}
for a in ${JSON.stringify([...new Set(['127.0.0.1', '127.0.0.2', '0.0.0.0', ...addresses])])}:
    tried(f'tcp {a}', lambda: tcp((a, ${port})))
tried('tcp ::ffff:127.0.0.1', lambda: tcp(('::ffff:127.0.0.1', ${port}), socket.AF_INET6))
for p in ('${path}', '/proc/1/root${path}', '/run/docker.sock', '/var/run/docker.sock', '/run/dbus/system_bus_socket'):
    tried(f'unix {p}', lambda: tcp(p, socket.AF_UNIX))
tried('abstract', lambda: tcp('\\0${abstract.slice(1)}', socket.AF_UNIX))
`;
  const reach = `${local}
for a in ('169.254.169.254', '100.100.100.200', '10.0.0.1', '172.17.0.1', '192.168.0.1', '${PUBLIC}', '224.0.0.1'):
    tried(f'tcp {a}', lambda: tcp((a, 80)))
for a in ('169.254.169.253', '${PUBLIC}', '255.255.255.255', '224.0.0.251'):
    tried(f'udp {a}', lambda: udp((a, 53)))
for a in ('fd00:ec2::254', 'fe80::1', '2606:4700:4700::1111', 'ff02::1'):
    tried(f'tcp {a}', lambda: tcp((a, 80, 0, 0), socket.AF_INET6))
for n in ('localhost.localdomain.test', 'example.org', 'metadata.google.internal'):
    tried(f'name {n}', lambda: socket.getaddrinfo(n, 80))
print('DONE')
`;
  const came = () => [tcp.came(), byPath.came(), byName.came()];
  const nobodyCame = async (t: Test) => {
    t.same(came(), [0, 0, 0], 'nobody has come to a server of this machine');
    // Or the program would prove nothing.
    const { stdout } = await execute('/bin/sh', ['-c', python(local)]);
    t.match(stdout, /tcp 127\.0\.0\.1: GOT b'hello'\n/);
    t.ok(
      came().every((count) => count > 0),
      'outside of a sandbox the same program gets there',
    );
  };
  return { reach, nobodyCame, port };
}

/** Names that lead to an address, and every address to one server of this machine. */
function rulesTo(port: number) {
  const names: Record<string, string[]> = {
    'a.example': [PUBLIC],
    'inside.example': ['127.0.0.1'],
    'metadata.example': ['169.254.169.254'],
  };
  return createEgressRules(
    { internalHosts: [] },
    {
      resolve: async (host) => names[host] ?? [],
      connect: () => connect({ host: '127.0.0.1', port, allowHalfOpen: true }),
    },
  );
}

t.test('with no allowlist there is nothing to reach', async (t) => {
  const host = await hostServers(t);
  const { isolation, ownDir } = await openIsolation(t);
  const { nothingLeft } = watchLeftovers(t, { stateDir: ownDir });
  const sandbox = await openSandbox(isolation);

  const reached = await runIn(sandbox, python(host.reach));
  t.match(reached.stdout.text, /DONE\n$/, 'it has tried everything');
  t.notMatch(reached.stdout.text, /GOT/);
  await host.nobodyCame(t);

  const refused = await runIn(
    sandbox,
    python(`
for name, family in ${JSON.stringify(FAMILIES)}:
    for kind in (1, 2, 3, 5):
        sc('socket', family, kind, 0, label=f'{name} {kind}')
for protocol in (0, 1, 6, 17, 255):
    sc('socket', 2, 3, protocol, label=f'raw {protocol}'); sc('socket', 10, 3, protocol, label=f'raw6 {protocol}')
sc('socket', 2, 10, 0, label='packet of old')
for protocol in (1, 2, 3, 4, 6, 9, 10, 12, 15, 16, 20): sc('socket', 16, 3, protocol, label=f'netlink {protocol}')
sc('socket', (1 << 32) | 40, 1, 0, label='vsock above 32 bits')
sc('io_uring_setup', 8, ctypes.create_string_buffer(120), label='io_uring')
child = os.fork()
if child == 0: os._exit(0 if libc.syscall(ctypes.c_long(0x40000000 | 41), 40, 1, 0) >= 0 else 1)
say('x32', 'GOT' if os.waitpid(child, 0)[1] == 0 else 'refused')
print('DONE')
`),
  );
  t.match(refused.stdout.text, /DONE\n$/);
  t.notMatch(refused.stdout.text, /GOT/, 'sockets that no namespace holds, raw ones, and ways around socket()');
  t.match(refused.stdout.text, /vsock 1: EPERM\n/);
  t.match(refused.stdout.text, /io_uring: EPERM\n/);

  const changed = await runIn(
    sandbox,
    python(`
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
tried('address', lambda: fcntl.ioctl(s, 0x8916, struct.pack('16sH2s4s8s', b'lo', 2, b'', bytes([10,0,0,1]), b'')))
tried('flags', lambda: fcntl.ioctl(s, 0x8914, struct.pack('16sh14s', b'lo', 0, b'')))
tried('route', lambda: fcntl.ioctl(s, 0x890B, bytes(120)))
tried('tun', lambda: os.open('/dev/net/tun', os.O_RDWR))
tried('low port', lambda: socket.socket().bind(('127.0.0.1', 80)))
tried('device', lambda: s.setsockopt(socket.SOL_SOCKET, 25, b'eth0\\0'))
tried('proxy', lambda: socket.create_connection(('127.0.0.1', 3128), 3))
say('proxy variables', sorted(k for k in os.environ if 'proxy' in k.lower()))
say('name servers', open('/etc/resolv.conf').read().strip() or 'none')
`),
  );
  t.notMatch(changed.stdout.text.replace('low port: GOT None\n', ''), /GOT/, 'its network is not its own to change');
  t.match(changed.stdout.text, /proxy variables: \[\]\nname servers: none\n$/);
  await sandbox.close();
  t.same(sandbox.egress, []);
  await nothingLeft();
});

t.test('with an allowlist there is the proxy and nothing else', async (t) => {
  const host = await hostServers(t);
  const origin = await counting(
    t,
    createHttpServer((request, response) => response.end(`${request.method} ${request.url}\n`)),
    { host: '127.0.0.1', port: 0 },
  );
  const opened: OpenedIsolation = await openIsolation(t, {}, rulesTo(portOf(origin.server)));
  const { nothingLeft } = watchLeftovers(t, { stateDir: opened.ownDir });
  const allowDomains = ['a.example', 'inside.example', 'metadata.example'];
  const sandbox = await openSandbox(opened.isolation, { allowDomains });

  const reached = await runIn(sandbox, python(host.reach));
  t.match(reached.stdout.text, /DONE\n$/);
  t.notMatch(reached.stdout.text, /GOT/, 'past the proxy there is nothing');
  t.equal(origin.came(), 0);

  const asked = await runIn(
    sandbox,
    python(`
import urllib.request, urllib.error, http.client
def get(url):
    try: return urllib.request.urlopen(url, timeout=5).read().decode().strip()
    except urllib.error.HTTPError as e: return f'{e.code} {e.read().decode().strip()}'
    except OSError as e: return str(e)
def tunnel(host, port=443):
    c = http.client.HTTPConnection('127.0.0.1', 3128, timeout=5); c.set_tunnel(host, port)
    try: c.request('GET', '/in-tunnel'); return c.getresponse().read().decode().strip()
    except OSError as e: return str(e)
for url in ('http://a.example/x', 'http://b.example/', 'http://x.a.example/', 'http://a.example:${host.port}/', 'http://169.254.169.254/latest', 'http://inside.example/', 'http://metadata.example/', 'http://2130706433/'):
    say(url, get(url))
for target in ('a.example', 'b.example', '127.1', 'inside.example'): say(target, tunnel(target))
s = socket.socket(socket.AF_UNIX); s.connect('/run/egress.sock')
s.sendall(b'CONNECT inside.example:80 HTTP/1.1\\r\\nHost: inside.example:80\\r\\n\\r\\n'); say('socket', s.recv(99).split(b'\\r')[0])
`),
  );
  t.equal(
    asked.stdout.text,
    [
      'http://a.example/x: GET /x',
      'http://b.example/: 403 NOT_ON_ALLOWLIST',
      'http://x.a.example/: 403 NOT_ON_ALLOWLIST',
      `http://a.example:${host.port}/: 403 PORT_NOT_ALLOWED`,
      'http://169.254.169.254/latest: 403 IP_LITERAL',
      'http://inside.example/: 403 ADDRESS_NOT_PUBLIC',
      'http://metadata.example/: 403 ADDRESS_NOT_PUBLIC',
      'http://2130706433/: 403 IP_LITERAL',
      'a.example: GET /in-tunnel',
      'b.example: Tunnel connection failed: 403 Refused',
      '127.1: Tunnel connection failed: 403 Refused',
      'inside.example: Tunnel connection failed: 403 Refused',
      "socket: b'HTTP/1.1 403 Refused'",
      '',
    ].join('\n'),
    asked.stderr.text,
  );
  await host.nobodyCame(t);
  await sandbox.close();
  t.same(
    sandbox.egress.map(({ host, port, verdict, code }) => [host, port, verdict, code].join(' ')),
    [
      'a.example 80 allowed ',
      'b.example 80 denied NOT_ON_ALLOWLIST',
      'x.a.example 80 denied NOT_ON_ALLOWLIST',
      `a.example ${host.port} denied PORT_NOT_ALLOWED`,
      '169.254.169.254 0 denied IP_LITERAL',
      'inside.example 80 denied ADDRESS_NOT_PUBLIC',
      'metadata.example 80 denied ADDRESS_NOT_PUBLIC',
      '2130706433 0 denied IP_LITERAL',
      'a.example 443 allowed ',
      'b.example 443 denied NOT_ON_ALLOWLIST',
      '127.1:443 0 denied IP_LITERAL',
      'inside.example 443 denied ADDRESS_NOT_PUBLIC',
      'inside.example 80 denied ADDRESS_NOT_PUBLIC',
    ],
    'every one of them is in the record of the run',
  );
  await nothingLeft();
});

t.test('a flood of connections is the flood of one sandbox only', async (t) => {
  const silent = await counting(
    t,
    createServer((socket) => socket.resume()),
    { host: '127.0.0.1', port: 0 },
  );
  const { isolation } = await openIsolation(t, {}, rulesTo(portOf(silent.server)));
  const [greedy, other] = await Promise.all(
    [0, 1].map(() => openSandbox(isolation, { allowDomains: ['a.example'], limits: { pids: 128 } })),
  );
  if (greedy === undefined || other === undefined) throw new Error('there are no sandboxes');
  const flood = `
held, got = [], 0
for n in range(400):
    s = socket.socket(socket.AF_UNIX); s.settimeout(2)
    try:
        s.connect('/run/egress.sock'); s.sendall(b'CONNECT a.example:443 HTTP/1.1\\r\\nHost: a.example:443\\r\\n\\r\\n')
        if s.recv(99).startswith(b'HTTP/1.1 200'): got += 1; held.append(s)
    except OSError: pass
say('tunnels', got)
`;
  const done = await runIn(greedy, python(flood));
  t.equal(done.stdout.text, 'tunnels: 64\n', done.stderr.text);
  t.equal(silent.came(), 64);
  const tunnel = `
s = socket.socket(socket.AF_UNIX); s.connect('/run/egress.sock')
s.sendall(b'CONNECT a.example:443 HTTP/1.1\\r\\nHost: a.example:443\\r\\n\\r\\n'); print(s.recv(12).decode())`;
  t.equal((await runIn(other, python(tunnel))).stdout.text, 'HTTP/1.1 200\n', 'another one is served');
  await Promise.all([greedy.close(), other.close()]);
});
