import t from 'tap';

import { issue, newKey } from '../../src/certs/authority.ts';
import { createHandshakes } from '../../src/identity/handshakes.ts';
import { parseIdentityMap } from '../../src/identity/identity-map.ts';
import { parseTrustBundle } from '../../src/identity/trust-bundle.ts';
import { testCa } from '../certs/authorities.ts';
import { inForce, TRUST_DOMAIN } from '../certs/material.ts';
import { buildApp, listen, openTls } from '../http/fixture.ts';
import type { Tap } from '../support/postgres.ts';
import { certificateLogin } from './certificate-login.ts';

const OPERATOR = `spiffe://${TRUST_DOMAIN}/human/operator`;
const entry = { match: { spiffe: OPERATOR }, id: 'operator', kind: 'human', roles: ['operator'], workspaces: ['demo'] };
const identityMap = parseIdentityMap(JSON.stringify({ principals: [entry] }), TRUST_DOMAIN);

const [key, otherKey] = await Promise.all([newKey(), newKey()]);
const root = await testCa({ commonName: 'root', key });
const middle = await testCa({ commonName: 'middle', issuer: root, key: otherKey });
const other = await testCa({ commonName: 'other', key: otherKey });
const request = { commonName: 'client', names: [{ uri: OPERATOR }], usage: 'client' as const, validity: inForce };
const client = await issue(middle, request, key);
const server = await issue(root, { ...request, names: [{ dns: 'localhost' }], usage: 'server' }, key);

async function connected(t: Tap, first: string, watched = true) {
  let bundle = parseTrustBundle(first);
  const handshakes = createHandshakes(() => bundle);
  const app = await buildApp({
    server,
    authority: root,
    authenticate: certificateLogin({
      identityMap,
      trustDomain: TRUST_DOMAIN,
      trustBundle: () => bundle,
      handshakeOf: handshakes.bundleOf,
    }),
  });
  if (watched) handshakes.watch(app.server);
  const port = await listen(app);
  const socket = await openTls(port, { ca: root.cert, cert: client.cert + middle.cert, key: client.key });
  t.teardown(async () => {
    socket.destroy();
    await app.close();
  });
  return {
    use: (text: string) => {
      bundle = parseTrustBundle(text);
    },
    ask: async () => {
      const answer = new Promise<string>((resolve) =>
        socket.once('data', (bytes) => resolve(bytes.toString('latin1'))),
      );
      socket.write('GET /v1/workspaces/demo/agents HTTP/1.1\r\nHost: localhost\r\n\r\n');
      return (await answer).slice(9, 12);
    },
  };
}

t.test('a connection counts as long as the present bundle leads to its root', async (t) => {
  const { use, ask } = await connected(t, root.cert + middle.cert);
  t.equal(await ask(), '200');
  use(other.cert + middle.cert + root.cert);
  t.equal(await ask(), '200', 'another file with the same authorities in it');
  use(other.cert + middle.cert);
  t.equal(await ask(), '401', 'the handshake of the past does not count');
});

t.test(
  'an intermediate that only the client has sent counts while no authority of its handshake is gone',
  async (t) => {
    const { use, ask } = await connected(t, root.cert);
    t.equal(await ask(), '200');
    use(other.cert + root.cert);
    t.equal(await ask(), '200', 'one more authority takes nothing back');
    use(other.cert);
    t.equal(await ask(), '401');
  },
);

t.test('nor does it where nobody knows how the handshake was judged', async (t) => {
  const { ask } = await connected(t, root.cert, false);
  t.equal(await ask(), '401');
});
