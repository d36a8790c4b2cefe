import { EventEmitter } from 'node:events';
import type { Server } from 'node:https';
import { Socket } from 'node:net';
import type { FastifyRequest } from 'fastify';
import t from 'tap';

import type { Authenticate } from '../../src/identity/authenticate.ts';
import { Unauthenticated } from '../../src/identity/errors.ts';
import type { Standing } from '../../src/identity/standing.ts';
import { createLiveConnections } from '../../src/trust/live-connections.ts';

const revoked = () => {
  throw new Unauthenticated('CERTIFICATE_REVOKED');
};
const principal = { id: 'one', kind: 'human', roles: [], workspaces: '*' } as const;

/** Connections without bytes: what they are is what `standing` and `authenticate` say. */
function bench() {
  let now = 0;
  const judges: { standing: Standing; authenticate: Authenticate } = {
    standing: () => undefined,
    authenticate: () => principal,
  };
  const live = createLiveConnections({
    standing: (socket) => judges.standing(socket),
    authenticate: (socket, request) => judges.authenticate(socket, request),
    now: () => now,
  });
  const server = new EventEmitter();
  // The only thing of a server that is asked for.
  live.watch(server as unknown as Server);
  const connect = () => {
    const socket = new Socket();
    server.emit('secureConnection', socket);
    return socket;
  };
  const begin = (socket: Socket) => {
    const request = { raw: { socket } } as unknown as FastifyRequest;
    live.began(request);
    return request;
  };
  return { live, judges, connect, begin, pass: (ms: number) => (now += ms) };
}

t.test('a connection that would not be let in now is ended', async (t) => {
  const { live, judges, connect } = bench();
  const [good, bad] = [connect(), connect()];
  t.equal((await live.judge(0)).size, 0);
  judges.standing = (socket) => (socket === bad ? revoked() : undefined);
  t.same([...(await live.judge(0))], [['CERTIFICATE_REVOKED', 1]]);
  t.ok(bad.destroyed);
  t.notOk(good.destroyed);
  t.equal((await live.judge(0)).size, 0, 'counted once');
});

t.test('one that never counted is left to its first request, and judged after it', async (t) => {
  const { live, judges, connect, begin } = bench();
  judges.standing = revoked;
  const stranger = connect();
  t.equal((await live.judge(0)).size, 0);
  t.notOk(stranger.destroyed, 'it gets its 401');
  begin(stranger);
  await live.judge(0);
  t.ok(stranger.destroyed);
});

t.test('a request under way is judged with its own caller: a proxy carries many', async (t) => {
  const { live, judges, connect, begin } = bench();
  const [one, other] = [connect(), connect()];
  const [gone, stays] = [begin(one), begin(other)];
  judges.authenticate = (_socket, request) => (request === gone ? revoked() : principal);
  await live.judge(0);
  t.ok(one.destroyed);
  t.notOk(other.destroyed);
  live.ended(stays);
  judges.authenticate = revoked;
  await live.judge(0);
  t.notOk(other.destroyed, 'answered');
});

t.test('between changes only requests that last are judged', async (t) => {
  const { live, judges, connect, begin, pass } = bench();
  const socket = connect();
  begin(socket);
  judges.authenticate = revoked;
  pass(1_999);
  await live.judge(2_000);
  t.notOk(socket.destroyed);
  pass(1);
  await live.judge(2_000);
  t.ok(socket.destroyed);
});

t.test('who has to ask somebody keeps no one else waiting', async (t) => {
  const { live, judges, connect } = bench();
  const [slow, bad] = [connect(), connect()];
  const { promise, reject } = Promise.withResolvers<void>();
  judges.standing = (socket) => (socket === slow ? promise : revoked());
  const judged = live.judge(0);
  t.ok(bad.destroyed, 'in the same turn');
  reject(new Unauthenticated('CERTIFICATE_STATUS_UNKNOWN'));
  t.same([...(await judged)].sort(), [
    ['CERTIFICATE_REVOKED', 1],
    ['CERTIFICATE_STATUS_UNKNOWN', 1],
  ]);
  t.ok(slow.destroyed);
});

t.test(
  'the next walk does not wait for whom nobody can judge now; he is ended and counted when somebody can',
  async (t) => {
    const { live, judges, connect, begin } = bench();
    const socket = connect();
    begin(socket);
    const { promise, reject } = Promise.withResolvers<never>();
    judges.authenticate = () => promise;
    // Keeps the process alive, which nothing else does while a walk waits.
    const alive = setInterval(() => undefined, 100);
    t.teardown(() => clearInterval(alive));
    t.equal((await live.judge(0)).size, 0);
    t.notOk(socket.destroyed);
    reject(new Unauthenticated('PRINCIPAL_LOCKED'));
    await promise.catch(() => undefined);
    await new Promise(setImmediate);
    t.ok(socket.destroyed);
    t.same([...(await live.judge(0))], [['PRINCIPAL_LOCKED', 1]]);
  },
);

t.test('an error that is no refusal ends nobody', async (t) => {
  const { live, judges, connect, begin } = bench();
  const socket = connect();
  begin(socket);
  judges.authenticate = () => Promise.reject(new Error('the provider is away'));
  t.equal((await live.judge(0)).size, 0);
  t.notOk(socket.destroyed);
});
