import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect, createServer as createNetServer } from 'node:net';

import t from 'tap';

import { createEgressRules } from '../../../src/egress/rules.ts';
import { isolationTest } from '../../support/isolation.ts';
import { watchLeftovers } from '../../support/leftovers.ts';
import { isolationParts, openTestSandbox, runOnce } from './support.ts';

isolationTest(t);
const server = createServer((request, response) => response.end(`you asked for ${request.headers.host}\n`));
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const { port } = server.address() as AddressInfo;
t.teardown(() => server.close());
watchLeftovers(t);

/** Every name leads to the test's own server, by an address that is public. */
const rules = createEgressRules(
  { internalHosts: [] },
  { resolve: async () => ['203.0.114.7'], connect: () => connect({ host: '127.0.0.1', port, allowHalfOpen: true }) },
);
const parts = await isolationParts(t, { egressRules: rules });

const get = (host: string) =>
  `printf 'GET http://${host}/ HTTP/1.1\\r\\nHost: ${host}\\r\\nConnection: close\\r\\n\\r\\n' | socat -,ignoreeof TCP4:127.0.0.1:3128`;

t.test('the relay accepts from the first moment, the proxy decides, the run knows', async (t) => {
  const sandbox = await openTestSandbox(parts, { allowDomains: ['files.example.org'] });
  const options = { timeoutMs: 10_000, signal: new AbortController().signal };
  for (let round = 0; round < 3; round += 1) {
    const { stdout } = await sandbox.run(get('files.example.org'), options);
    t.match(stdout.text, /^HTTP\/1\.1 200 [\s\S]*you asked for files\.example\.org\n/, `${round}`);
  }
  t.match((await sandbox.run(get('other.example.org'), options)).stdout.text, /^HTTP\/1\.1 403 /);
  const many = await sandbox.run(
    `for i in $(seq 12); do ${get('files.example.org')} | grep -c asked & done; wait`,
    options,
  );
  t.equal(many.stdout.text, '1\n'.repeat(12), 'at once');
  await sandbox.close();
  t.equal(sandbox.egress.filter(({ verdict }) => verdict === 'allowed').length, 15);
  t.match(
    sandbox.egress.filter(({ verdict }) => verdict === 'denied'),
    [{ host: 'other.example.org', port: 80 }],
  );
});

t.test('its variables name the proxy; without an allowlist there is none, and nothing but loopback', async (t) => {
  const allowed = await runOnce(parts, 'env | grep -ic _proxy=; ls /run', { allowDomains: ['files.example.org'] });
  t.equal(allowed.stdout.text, '6\negress.sock\n');
  const none = await runOnce(
    parts,
    `env | grep -ic _proxy=; ls /run; grep -c : /proc/net/dev; ${get('files.example.org')}`,
  );
  t.equal(none.stdout.text, '0\n1\n');
  t.match(none.stderr.text, /refused/);
});

t.test('with the proxy gone the command goes on without', async (t) => {
  const sandbox = await openTestSandbox(parts, { allowDomains: ['files.example.org'] });
  const running = sandbox.run('kill -9 -1; echo still here', {
    timeoutMs: 5000,
    signal: new AbortController().signal,
  });
  t.match(await running, { result: 'ok', stdout: { text: 'still here\n' } }, 'the relay was ended from inside');
  await sandbox.close();
});

t.test('descriptors of its output that it leaves in a socket nobody reads keep no command from its end', async (t) => {
  // A host that takes a connection and nothing more: what goes to it waits on the way, where the descriptors are.
  const silent = createNetServer((socket) => socket.on('error', () => undefined).pause());
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const { port: silentPort } = silent.address() as AddressInfo;
  const slow = {
    ...rules,
    connect: () => connect({ host: '127.0.0.1', port: silentPort, allowHalfOpen: true }),
  };
  const sandbox = await openTestSandbox({ ...parts, egressRules: slow }, { allowDomains: ['files.example.org'] });
  const leave = `exec /usr/bin/python3 - <<'END'
import array, socket, time
s = socket.socket(socket.AF_UNIX)
s.connect('/run/egress.sock')
s.sendall(b'CONNECT files.example.org:443 HTTP/1.1\\r\\nHost: files.example.org:443\\r\\n\\r\\n')
print(s.recv(100)[:12], flush=True)
s.settimeout(1)
try:
    while True: s.sendmsg([bytes(30000)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [1, 2]))])
except TimeoutError: print('left')
END`;
  const done = await sandbox.run(leave, { timeoutMs: 8000, signal: AbortSignal.timeout(20_000) });
  t.match(done, { result: 'ok', stdout: { text: "b'HTTP/1.1 200'\nleft\n" } }, JSON.stringify(done));
  const next = await sandbox.run('echo next', { timeoutMs: 8000, signal: AbortSignal.timeout(20_000) });
  t.equal(next.stdout.text, 'next\n', 'and the output of the next is its own');
  await sandbox.close();
  silent.close();
});

t.test('variables of the command are not those of the relay', async (t) => {
  const env = { SOCAT_DEFAULT_LISTEN_IP: '6', SOCAT_MAIN_WAIT: '100', LD_PRELOAD: '/workspace/none.so' };
  const { result, stdout } = await runOnce(
    parts,
    `unset SOCAT_MAIN_WAIT SOCAT_DEFAULT_LISTEN_IP; ${get('files.example.org')}`,
    {
      env,
      allowDomains: ['files.example.org'],
      timeoutMs: 5000,
    },
  );
  t.equal(result, 'ok');
  t.match(stdout.text, /you asked for files\.example\.org/);
});
