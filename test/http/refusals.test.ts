import { readFileSync } from 'node:fs';
import t from 'tap';
import { checkTarget } from '../../src/http/refusals.ts';
import { testAuthority } from '../certs/material.ts';
import { buildApp, listen, openTls, sendRaw } from './fixture.ts';

interface Case {
  readonly why: string;
  readonly head: string;
  readonly status: number;
}

const material = await testAuthority();
const app = await buildApp(material);
const port = await listen(app);
t.teardown(() => app.close());

const { cert, key } = await material.client('spiffe://castellan.dev/human/x');
const tls = { ca: material.authority.cert, cert, key };

async function exchange(head: string) {
  return sendRaw(await openTls(port, tls), Buffer.from(`${head}\r\n\r\n`, 'latin1'));
}

const cases: Case[] = JSON.parse(readFileSync(new URL('./refusals.json', import.meta.url), 'utf8'));
for (const { why, head, status } of cases) {
  t.test(why, async (t) => {
    const answer = await exchange(head);
    t.equal(answer.status, status, answer.text);
    t.ok(answer.closed, 'the connection is closed');
    if (status === 200) return;
    t.match(answer.headers, /content-type: application\/problem\+json/i);
    const { code, instance } = JSON.parse(answer.text);
    t.equal(code, 'MALFORMED_REQUEST');
    t.equal(/^x-request-id: (.+)$/im.exec(answer.headers)?.[1], instance, 'the id to ask for');
    t.match(answer.headers, /^x-content-type-options: nosniff$/im);
  });
}

t.test('a hundred headers pass, one more does not, and neither do a thousand before a forged one', async (t) => {
  const lines = (count: number) => Array.from({ length: count }, (_, index) => `\r\na${index}: b`).join('');
  const start = 'GET /v1/workspaces/demo/agents HTTP/1.1\r\nHost: a\r\nConnection: close';
  t.equal((await exchange(`${start}${lines(98)}`)).status, 200);
  t.equal((await exchange(`${start}${lines(99)}`)).status, 400);
  t.equal((await exchange(`${start}${lines(1100)}\r\nX-Forwarded-Client-Cert: URI=x`)).status, 400);
});

t.test('a long target and a long header section', async (t) => {
  const long = await exchange(`GET /v1/workspaces/demo/agents?x=${'a'.repeat(2048)} HTTP/1.1\r\nHost: a`);
  t.equal(JSON.parse(long.text).code, 'URI_TOO_LONG');
  const parameter = await exchange(`GET /v1/workspaces/demo/agents/${'a'.repeat(300)} HTTP/1.1\r\nHost: a`);
  t.equal(parameter.status, 414);
  const header = await exchange(`GET / HTTP/1.1\r\nHost: a\r\nX: ${'a'.repeat(17_000)}`);
  t.equal(header.status, 431);
  t.equal(JSON.parse(header.text).code, 'HEADERS_TOO_LARGE');
});

t.test('an honest search keeps its encoded signs', async (t) => {
  t.doesNotThrow(() => checkTarget('/v1/a:batch/x_y~z?search=a%2Fb%5C..%2e;%0a//'));
});

t.test('the process is still there', async (t) => {
  t.equal((await exchange('GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close')).status, 404);
});
