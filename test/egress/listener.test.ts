import { connect } from 'node:net';
import t, { type Test } from 'tap';

import { createEgressListener, type EgressCredential } from '../../src/egress/listener.ts';
import { lastLine, PUBLIC, saying, statusOf, tcpServer, until, worldOf } from './support.ts';

const basic = ({ username, password }: EgressCredential) =>
  `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;

async function listener(t: Test) {
  const port = await tcpServer(t, (socket) => socket.end('served'));
  const world = worldOf({ 'a.example': [PUBLIC], 'b.example': ['9.9.9.9'] }, port);
  const made = createEgressListener(world.rules, { host: '127.0.0.1', port: 0 });
  const address = await made.listen();
  t.teardown(() => made.close());
  const open = () => connect({ ...address, allowHalfOpen: true }).on('error', () => undefined);
  const asks = (authorization: string | undefined, host = 'a.example') => {
    const line = authorization === undefined ? '' : `Proxy-Authorization: ${authorization}\r\n`;
    return saying(open(), `CONNECT ${host}:443 HTTP/1.1\r\nHost: ${host}:443\r\n${line}\r\n`);
  };
  return { ...world, listener: made, open, asks };
}

t.test('each pod reaches what is its own to reach', async (t) => {
  const { listener: made, asks } = await listener(t);
  const a = made.register({ allowDomains: ['a.example'] });
  const b = made.register({ allowDomains: ['b.example'] });
  t.equal(lastLine(await asks(basic(a.credential))), 'served');
  t.equal(lastLine(await asks(basic(b.credential))), 'NOT_ON_ALLOWLIST');
  t.equal(lastLine(await asks(basic(b.credential), 'b.example')), 'served');
  t.match(a.decisions, [{ host: 'a.example', verdict: 'allowed' }]);
  t.equal(a.decisions.length, 1, 'and has only its own decisions');
  t.match(b.decisions, [{ verdict: 'denied' }, { verdict: 'allowed' }]);
  const secrets = [a, b].map(({ credential }) => credential.password);
  t.ok(
    secrets.every((secret) => /^[A-Za-z0-9_-]{43}$/.test(secret)),
    '256 bits that fit into a URL',
  );
});

t.test('whoever cannot say who it is', async (t) => {
  const { listener: made, asks, dialled } = await listener(t);
  const { credential, close } = made.register({ allowDomains: ['a.example'] });
  const { username, password } = credential;
  const answer = await asks(undefined);
  t.equal(statusOf(answer), 407);
  t.match(answer, /proxy-authenticate: Basic realm="egress"\r\n/);
  const wrong = [
    basic({ username, password: '' }),
    basic({ username, password: `${password}x` }),
    basic({ username: 'nobody', password }),
    basic({ username: '', password: '' }),
    basic({ username: '__proto__', password }),
    `Bearer ${password}`,
    'Basic',
    'Basic !',
    `Basic ${'A'.repeat(2000)}`,
    `${basic(credential)}\r\nProxy-Authorization: ${basic(credential)}`,
  ];
  for (const authorization of wrong) t.ok([400, 407].includes(statusOf(await asks(authorization))), authorization);
  await close();
  t.equal(statusOf(await asks(basic(credential))), 407, 'once it is gone');
  t.same(dialled, []);
});

t.test('one that goes away takes its connections along, and its kept connections are nobody’s', async (t) => {
  const port = await tcpServer(t, (socket) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes');
  });
  const made = createEgressListener(worldOf({ 'a.example': [PUBLIC] }, port).rules, { host: '127.0.0.1', port: 0 });
  const address = await made.listen();
  t.teardown(() => made.close());
  const { credential, close } = made.register({ allowDomains: ['a.example'] });
  const head = `HTTP/1.1\r\nHost: a.example\r\nProxy-Authorization: ${basic(credential)}\r\n\r\n`;
  const [kept, busy] = [connect(address), connect(address)];
  for (const socket of [kept, busy]) socket.on('error', () => undefined);
  kept.write(`GET http://a.example/ ${head}`);
  await until(kept, 'yes');
  busy.write(`CONNECT a.example:443 ${head.replace('a.example', 'a.example:443')}`);
  await until(busy, 'yes');
  await close();
  t.equal(await saying(busy, ''), '');
  t.equal(statusOf(await saying(kept, `GET http://a.example/ ${head}`)), 407);
});

t.test('a credential that was made before', async (t) => {
  const { listener: made, asks } = await listener(t);
  const credential = { username: 'agent', password: 'made-by-another-replica' };
  const first = made.register({ allowDomains: ['b.example'], credential });
  const second = made.register({ allowDomains: ['a.example'], credential });
  t.equal(lastLine(await asks(basic(credential))), 'served', 'the newer one counts');
  await first.close();
  t.equal(lastLine(await asks(basic(credential))), 'served', 'and is not taken away with the older');
  await second.close();
  t.equal(statusOf(await asks(basic(credential))), 407);
});
