import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import t from 'tap';
import { exchange } from '../../abuse/support/raw.ts';
import { testService } from '../../support/service.ts';
import { issuer, PROXY } from './behind.ts';

const PROGRAM = 'haproxy';
const AGENTS = '/v1/workspaces/demo/agents';
/** ms. */
const STARTS_WITHIN = 5_000;

t.test('HAProxy in front', { skip: version() === undefined && 'haproxy is not on this machine' }, async (t) => {
  const service = await testService(t, { identity: { proxies: [PROXY] } });
  const dir = mkdtempSync(join(tmpdir(), 'castellan-haproxy-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const file = (name: string, text: string) => {
    writeFileSync(join(dir, name), text, { mode: 0o600 });
    return join(dir, name);
  };
  const pem = (name: string) => readFileSync(join(service.certsDir, name), 'utf8');
  const make = await issuer(service.certsDir);
  const own = await make(PROXY);
  const socket = join(dir, 'in.sock');
  const { port } = new URL(service.service.apiUrl);
  const ca = join(service.certsDir, 'ca.crt');
  // HAProxy has no URI of a certificate to give: it is looked up by the common name, and held against the certificate here.
  const names = file(
    'names.map',
    'operator spiffe://castellan.dev/human/operator\nauditor spiffe://castellan.dev/human/kernel-admin\n',
  );
  const element = [
    `By=${PROXY}`,
    'Hash=%[ssl_c_der,sha2(256),hex]',
    'Cert=\\"-----BEGIN%%20CERTIFICATE-----%%0A%[ssl_c_der,base64,url_enc]%%0A-----END%%20CERTIFICATE-----%%0A\\"',
    `URI=%[ssl_c_s_dn(cn),map(${names})]`,
  ];
  const configuration = file(
    'haproxy.cfg',
    `
defaults
  mode http
  timeout connect 5s
  timeout client 20s
  timeout server 20s
frontend in
  bind unix@${socket} ssl crt ${file('server.pem', pem('server.crt') + pem('server.key'))} ca-file ${ca} verify required
  http-request del-header x-forwarded-client-cert
  http-request set-header x-forwarded-client-cert "${element.join(';')}"
  default_backend castellan
backend castellan
  server one 127.0.0.1:${port} ssl verify required ca-file ${ca} verifyhost localhost crt ${file('proxy.pem', own.cert + own.key)}
`,
  );
  const proxy = spawn(PROGRAM, ['-db', '-f', configuration], { stdio: ['ignore', 'inherit', 'inherit'] });
  t.teardown(() => end(proxy));
  await listens(socket);

  const ask = async (who: string, lines: readonly string[] = []) => {
    const connection = connect({
      path: socket,
      ca: pem('ca.crt'),
      cert: pem(`${who}.crt`),
      key: pem(`${who}.key`),
      servername: 'localhost',
    });
    const head = [`GET ${AGENTS} HTTP/1.1`, 'Host: localhost', ...lines, 'Connection: close', '', ''].join('\r\n');
    const { answers } = await exchange(connection, Buffer.from(head));
    return answers[0]?.status;
  };
  t.equal(await ask('operator'), 200, 'the caller is who its certificate says');
  const forged = `x-forwarded-client-cert: By=${PROXY};Hash=${'ab'.repeat(32)};URI=spiffe://castellan.dev/human/kernel-admin`;
  t.equal(await ask('operator', [forged, forged]), 200, 'what it sends itself is taken away');
  t.equal(await ask('auditor'), 401, 'a wrong name in the map is found out by the certificate');
  t.equal(await ask('outsider'), 401, 'and no name names nobody');
  const { body } = await service.call('auditor', 'GET', '/v1/audit/events?type=access.denied');
  t.same(
    body.events.map((event: { payload: { reason: string } }) => event.payload.reason),
    ['FORWARDED_MALFORMED', 'NO_IDENTITY'],
  );
});

function version(): string | undefined {
  try {
    return execFileSync(PROGRAM, ['-v'], { encoding: 'utf8' });
  } catch {
    return undefined;
  }
}

async function listens(socket: string): Promise<void> {
  for (
    const end = Date.now() + STARTS_WITHIN;
    Date.now() < end;
    await new Promise((resolve) => setTimeout(resolve, 20))
  ) {
    if (existsSync(socket)) return;
  }
  throw new Error('haproxy does not listen');
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  child.kill('SIGTERM');
  await once(child, 'exit');
}
