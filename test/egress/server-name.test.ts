import { once } from 'node:events';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect, createServer as createTlsServer } from 'node:tls';
import t from 'tap';

import { issue, makeAuthority, validFor } from '../../src/certs/authority.ts';
import { readClientHello } from '../../src/egress/client-hello.ts';
import { guardServerName } from '../../src/egress/server-name.ts';
import fc from '../support/fast-check.ts';
import { eventually, listening, PUBLIC, proxyFor, tcpServer, until, worldOf } from './support.ts';

const CONNECT = 'CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n';

function vector(width: number, content: Buffer): Buffer {
  const length = Buffer.alloc(width);
  length.writeUIntBE(content.length, 0, width);
  return Buffer.concat([length, content]);
}

/** A ClientHello with these host names, in records of so many bytes. */
function hello(names: readonly string[], { record = 16_384, extra = Buffer.alloc(0) } = {}): Buffer {
  const entry = (name: string) => Buffer.concat([Buffer.of(0), vector(2, Buffer.from(name))]);
  const sni = names.length === 0 ? [] : [Buffer.of(0, 0), vector(2, vector(2, Buffer.concat(names.map(entry))))];
  const other = [Buffer.of(0, 43), vector(2, Buffer.of(2, 3, 4))];
  const body = Buffer.concat([
    Buffer.of(3, 3),
    Buffer.alloc(32, 7),
    vector(1, Buffer.alloc(32)),
    vector(2, Buffer.of(0x13, 1)),
    vector(1, Buffer.of(0)),
    vector(2, Buffer.concat([...other, ...sni, extra])),
  ]);
  return records(Buffer.concat([Buffer.of(1), vector(3, body)]), record);
}

function records(message: Buffer, size: number): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < message.length; at += size)
    parts.push(Buffer.of(22, 3, 1), vector(2, message.subarray(at, at + size)));
  return Buffer.concat(parts);
}

/** What the guard lets through, written in pieces; undefined when it ends the stream. */
async function guarded(bytes: Buffer, piece = bytes.length): Promise<Buffer | undefined> {
  const guard = guardServerName('a.example');
  const chunks: Buffer[] = [];
  guard.on('data', (chunk: Buffer) => chunks.push(chunk));
  const ended = Promise.race([once(guard, 'end'), once(guard, 'close')]).then(
    () => true,
    () => false,
  );
  for (let at = 0; at < bytes.length && !guard.destroyed; at += Math.max(1, piece))
    guard.write(bytes.subarray(at, at + piece));
  guard.end();
  return (await ended) ? Buffer.concat(chunks) : undefined;
}

t.test('the host is asked for by TLS as it was by CONNECT', async (t) => {
  const validity = validFor(Date.now(), 1);
  const authority = await makeAuthority('an authority', validity);
  const names = [{ dns: 'a.example' }, { dns: 'other.test' }];
  const leaf = await issue(authority, { commonName: 'a.example', names, usage: 'server', validity });
  const asked: (string | false | null)[] = [];
  const server = createTlsServer(leaf, (socket) => {
    asked.push(socket.servername);
    socket.on('error', () => undefined).end('served');
  });
  const { rules } = worldOf({ 'a.example': [PUBLIC] }, await listening(t, server));
  const { open, ended } = await proxyFor(t, { rules, limits: { halfOpenMs: 50 } });
  const over = async (servername: string) => {
    const client = open();
    client.write(CONNECT);
    await until(client, '\r\n\r\n');
    return new Promise<string>((resolve) => {
      const secure = connect({ socket: client, servername, ca: authority.cert, checkServerIdentity: () => undefined });
      let text = '';
      secure.on('data', (data) => {
        text += String(data);
      });
      secure.on('error', () => secure.destroy()).on('close', () => resolve(text));
      secure.on('end', () => secure.end());
    });
  };
  t.equal(await over('a.example'), 'served');
  t.equal(await over('A.Example'), 'served');
  t.equal(await over('other.test'), '');
  t.same(
    asked.map(String).map((name) => name.toLowerCase()),
    ['a.example', 'a.example'],
    'the server has not heard of the other',
  );
  await eventually(() => ended.length === 3, 'decisions');
  t.match(ended[2], { host: 'a.example', verdict: 'denied', code: 'SNI_MISMATCH', bytesOut: 0 });
});

t.test('a server that asks again is asked for the same host', async (t) => {
  const retry = Buffer.concat([hello(['a.example']), Buffer.of(20, 3, 3, 0, 1, 1)]);
  const data = Buffer.of(23, 3, 3, 0, 1, 9);
  const honest = Buffer.concat([retry, hello(['a.example']), data]);
  t.same(await guarded(honest), honest);
  t.same(await guarded(honest, 1), honest);
  t.equal(await guarded(Buffer.concat([retry, hello(['other.test'])])), undefined);
  const keyExchange = Buffer.concat([hello(['a.example']), records(Buffer.of(16, 0, 0, 1, 5), 100), data]);
  t.same(await guarded(keyExchange), keyExchange, 'TLS 1.2 goes on with another message');
});

t.test('a hello in any pieces and records is the same hello', async () => {
  const piece = fc.integer({ min: 1, max: 300 });
  await fc.assert(
    fc.asyncProperty(fc.constantFrom('a.example', 'b.example'), piece, piece, async (name, record, chunk) => {
      const bytes = hello([name], { record });
      const passed = await guarded(bytes, chunk);
      return name === 'a.example' ? passed?.equals(bytes) === true : passed === undefined;
    }),
  );
});

t.test('hellos that are cut off', async (t) => {
  const whole = hello(['a.example']);
  const cases: [string, Buffer][] = [
    ['two names', hello(['a.example', 'other.test'])],
    [
      'the extension twice',
      hello(['a.example'], {
        extra: Buffer.concat([
          Buffer.of(0, 0),
          vector(2, vector(2, Buffer.concat([Buffer.of(0), vector(2, Buffer.from('other.test'))]))),
        ]),
      }),
    ],
    ['an address', hello(['1.1.1.1'])],
    ['an empty name', hello([''])],
    ['a NUL at its end', hello(['a.example\0'])],
    [
      'a name of another type',
      hello(['a.example'], {
        extra: Buffer.concat([
          Buffer.of(0, 0),
          vector(2, vector(2, Buffer.concat([Buffer.of(1), vector(2, Buffer.from('x'))]))),
        ]),
      }),
    ],
    ['an extension that is too long', hello([], { extra: Buffer.of(0, 0, 255, 255, 0) })],
    ['another message first', records(Buffer.of(16, 0, 0, 1, 5), 100)],
    ['an empty record', Buffer.of(22, 3, 1, 0, 0)],
    [
      'a record of another kind in the middle',
      Buffer.concat([records(Buffer.from([1, 0, 1, 0]), 9), Buffer.of(23, 3, 3, 0, 1, 1)]),
    ],
    ['something after it in its record', records(Buffer.concat([whole.subarray(5), Buffer.of(1)]), 16_384)],
    ['no end', Buffer.concat([Buffer.of(22, 3, 1, 64, 0, 1, 0, 255, 255), Buffer.alloc(40_000)])],
  ];
  for (const [what, bytes] of cases) t.equal(await guarded(bytes), undefined, what);
  t.same(await guarded(whole.subarray(0, 50)), Buffer.alloc(0), 'of half a hello nothing goes on');
});

t.test('what is no TLS, or names nobody, passes', async (t) => {
  for (const bytes of [Buffer.from('SSH-2.0-x\r\n'), Buffer.from('G'), hello([])]) t.same(await guarded(bytes), bytes);
});

t.test('whatever comes, it is read without a fault', async () => {
  const start = fc.constantFrom(
    Buffer.alloc(0),
    Buffer.of(22, 3, 1, 0, 60, 1, 0, 0, 56),
    hello(['a.example']).subarray(0, 80),
  );
  fc.assert(
    fc.property(start, fc.uint8Array({ maxLength: 200 }), (head, rest) => {
      const read = readClientHello(Buffer.concat([head, rest]));
      return typeof read === 'string' || read.bytes <= head.length + rest.length;
    }),
  );
});

t.test('what a client sends while its hello is held back is bounded', async (t) => {
  let upstream: Socket | undefined;
  const port = await tcpServer(t, (socket) => {
    upstream = socket.resume();
  });
  const { open, ended } = await proxyFor(t, { rules: worldOf({ 'a.example': [PUBLIC] }, port).rules });
  const client: Duplex = open();
  client.write(CONNECT);
  client.write(Buffer.concat([Buffer.of(22, 3, 1, 64, 0, 1, 0, 255, 255), Buffer.alloc(100_000)]));
  await once(client.resume(), 'end', { signal: AbortSignal.timeout(5000) });
  await eventually(() => ended.length === 1, 'a decision');
  t.match(ended, [{ code: 'SNI_MISMATCH', bytesOut: 0 }]);
  t.equal(upstream?.bytesRead ?? 0, 0);
  client.destroy();
});
