import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { testCertificates, testService } from '../../support/service.ts';
import { makeList, serialOf } from '../revocation/lists.ts';
import { ask, element, issuer, PROXY } from './behind.ts';

const AGENTS = '/v1/workspaces/demo/agents';
const OPERATOR = 'spiffe://castellan.dev/human/operator';

t.test('a revocation list counts for whom a proxy names', async (t) => {
  const certsDir = await testCertificates(t);
  const make = await issuer(certsDir);
  const [proxy, good, taken] = await Promise.all([make(PROXY), make(OPERATOR), make(OPERATOR)]);
  const pem = (name: string) => readFileSync(join(certsDir, name), 'utf8');
  const dir = mkdtempSync(join(tmpdir(), 'castellan-crl-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const list = join(dir, 'revoked.crl');
  writeFileSync(list, await makeList({ cert: pem('ca.crt'), key: pem('ca.key') }, { serials: [serialOf(taken)] }));
  const revocation = {
    serials: [],
    serialsFile: undefined,
    crlFiles: [list],
    ocsp: 'off',
    ocspUrl: undefined,
  } as const;
  const service = await testService(t, { identity: { proxies: [PROXY], revocation } });
  const through = (value: string) => ask(service, proxy, AGENTS, [`x-forwarded-client-cert: ${value}`]);
  t.equal((await through(element(OPERATOR, good, { cert: true }))).status, 200);
  t.equal((await through(element(OPERATOR, taken, { cert: true }))).status, 401);
  t.equal((await through(element(OPERATOR, taken))).status, 401, 'not even by its hash alone');
  t.equal((await through(element(OPERATOR, good))).status, 401, 'nor any other');
  const { body } = await service.call('auditor', 'GET', '/v1/audit/events?type=access.denied');
  t.same(
    body.events.map((event: { payload: { reason: string } }) => event.payload.reason),
    ['CERTIFICATE_REVOKED', 'CERTIFICATE_STATUS_UNKNOWN', 'CERTIFICATE_STATUS_UNKNOWN'],
  );
});
