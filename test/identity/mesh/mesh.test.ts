import t from 'tap';
import { parseIdentityMap } from '../../../src/identity/identity-map.ts';
import { createMesh, type MeshOptions } from '../../../src/identity/mesh/mesh.ts';
import type { Principal } from '../../../src/identity/principal.ts';
import { TRUST_DOMAIN, testAuthority } from '../../certs/material.ts';
import { buildApp, listen, openTls, sendRaw } from '../../http/fixture.ts';
import { certificateLogin } from '../certificate-login.ts';
import { element, fingerprint, PROXY } from './behind.ts';

const GATEWAY = `spiffe://${TRUST_DOMAIN}/service/gateway`;
const AGENTS = '/v1/workspaces/demo/agents';
const human: Principal = { id: 'hu-1', kind: 'human', roles: ['operator'], workspaces: ['demo'] };

const material = await testAuthority();
const { client, authority } = material;
const [proxy, gateway] = await Promise.all([client(PROXY), client(GATEWAY)]);
const entry = { match: { spiffe: GATEWAY }, id: 'gateway', kind: 'service', roles: ['gateway'], workspaces: ['demo'] };
const identityMap = parseIdentityMap(JSON.stringify({ principals: [entry] }), TRUST_DOMAIN);

async function serve(change: Partial<MeshOptions> = {}) {
  const seen: (string | undefined)[] = [];
  const authenticate = certificateLogin({
    identityMap,
    trustDomain: TRUST_DOMAIN,
    mesh: createMesh({ proxies: [PROXY], judge: () => undefined, certificateNeeded: false, ...change }),
    tokens: {
      authenticate: (header, via) => {
        seen.push(`${header} ${via.fingerprint} ${via.onlyHumans}`);
        return human;
      },
    },
  });
  const app = await buildApp({ ...material, authenticate });
  t.teardown(() => app.close());
  const port = await listen(app);
  const ask = async (lines: readonly string[]) => {
    const socket = await openTls(port, { ca: authority.cert, ...proxy });
    const head = [`GET ${AGENTS} HTTP/1.1`, 'Host: a', ...lines, 'Connection: close', '', ''].join('\r\n');
    const { status, text } = await sendRaw(socket, head);
    return { status, text };
  };
  return { ask, seen };
}

t.test('a gateway behind a proxy carries tokens, bound to its own certificate and not to the proxy’s', async (t) => {
  const { ask, seen } = await serve();
  const line = `x-forwarded-client-cert: ${element(GATEWAY, gateway)}`;
  const answer = await ask([line, 'authorization: Bearer abc']);
  t.equal(answer.status, 200);
  t.match(answer.text, /hu-1/, 'who calls says the token alone');
  t.same(seen, [`Bearer abc ${fingerprint(gateway).toUpperCase()} false`]);
  t.equal((await ask(['authorization: Bearer abc'])).status, 401, 'a token is no caller behind a proxy');
  t.equal(seen.length, 1);
});

t.test('where a status is needed, a certificate that is not sent has none', async (t) => {
  const { ask } = await serve({ certificateNeeded: true });
  t.equal((await ask([`x-forwarded-client-cert: ${element(GATEWAY, gateway)}`])).status, 401);
  t.equal(
    (await ask([`x-forwarded-client-cert: ${element(GATEWAY, gateway, { cert: true })}`])).status,
    403,
    'it may nothing',
  );
});
