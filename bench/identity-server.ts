// One small answer over mutual TLS: by Fastify alone, with what refuses odd requests, or with identity, permission and limits as well.
// Started by the bench.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import Fastify from 'fastify';

import { systemClock } from '../src/clock.ts';
import { readIdentity } from '../src/config/identity.ts';
import { SettingsReader } from '../src/config/read.ts';
import { defaultLimits } from '../src/config.ts';
import { problemPlugin } from '../src/http/problem.ts';
import { refusalsPlugin } from '../src/http/refusals.ts';
import { routeContractPlugin } from '../src/http/route-contract.ts';
import { applyServerLimits, fastifyOptions } from '../src/http/server-options.ts';
import { assembleIdentity } from '../src/identity/assembly.ts';
import { loadIdentityMap } from '../src/identity/identity-map.ts';
import { isPermission } from '../src/identity/permissions.ts';
import { identityPlugin } from '../src/identity/plugin.ts';
import { parseTrustBundle } from '../src/identity/trust-bundle.ts';
import { limitsPlugin } from '../src/limits/plugin.ts';

const TRUST_DOMAIN = 'castellan.dev';
/** No limit is reached. */
const AMPLE = { rate: 1_000_000, burst: 1_000_000 };
/** Bytes; about those of the answer to a status. */
const ANSWER_BYTES = 250;

const certsDir = process.env['BENCH_CERTS_DIR'] ?? '';
const pem = (name: string) => readFileSync(join(certsDir, name), 'utf8');
const app = Fastify(
  fastifyOptions({
    tls: {
      key: pem('server.key'),
      cert: pem('server.crt'),
      clientCa: pem('ca.crt'),
      minVersion: 'TLSv1.3',
      requireCertificate: true,
    },
    random: Math.random,
  }),
);
applyServerLimits(app.server);
const parts = process.env['BENCH_PARTS'];
if (parts !== 'none') {
  await app.register(routeContractPlugin, { isPermission });
  await app.register(problemPlugin, { random: Math.random });
  await app.register(refusalsPlugin);
}
if (parts === 'all') {
  const identityMap = loadIdentityMap(join(certsDir, 'identity-map.json'), TRUST_DOMAIN);
  const trustBundle = parseTrustBundle(pem('ca.crt'));
  const { authenticate } = assembleIdentity({
    config: readIdentity(new SettingsReader({})),
    identityMap: () => identityMap,
    trustBundle: () => trustBundle,
    clientCaFile: join(certsDir, 'ca.crt'),
    locks: { isSerialLocked: () => false, isPrincipalLocked: () => false },
    ocsp: { revoked: () => undefined, failed: () => undefined },
    clock: systemClock,
  });
  await app.register(limitsPlugin, {
    config: { ...defaultLimits(), principal: AMPLE, workspace: AMPLE },
    now: () => performance.now(),
    random: Math.random,
    observe: { refused: (reason, lane) => console.error(`refused: ${reason} ${lane}`) },
  });
  await app.register(identityPlugin, { authenticate, admit: app.limits.admit, charge: app.limits.charge });
}
const filling = 'x'.repeat(ANSWER_BYTES);
const answer = { type: 'object', properties: { success: { type: 'boolean' }, filling: { type: 'string' } } };
const params = { type: 'object', properties: { workspaceId: { type: 'string' } } };
const querystring = { type: 'object', properties: {}, additionalProperties: false };
app.get(
  '/v1/workspaces/:workspaceId/echo',
  {
    config: { permission: 'agents.read', audit: [] },
    schema: { operationId: 'echo', tags: ['bench'], summary: 'echo', params, querystring, response: { 200: answer } },
  },
  async () => ({ success: true, filling }),
);

process.once('SIGTERM', () => process.exit(0));
console.log(JSON.stringify({ api: await app.listen({ host: '127.0.0.1', port: 0 }) }));
