// The least that a service of this kind could do: Fastify with the same TLS, and one statement or none. Started by the bench.
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import Fastify from 'fastify';
import pg from 'pg';

import { applyServerLimits, fastifyOptions } from '../src/http/server-options.ts';

/** As the service's default. */
const POOL_SIZE = 16;
/** Bytes; what an audit event and a row of the ledger hold. */
const ROW_BYTES = 700;
/** Bytes; about those of the answer to a start. */
const ANSWER_BYTES = 600;

const certsDir = process.env['BENCH_CERTS_DIR'] ?? '';
const pem = (name: string) => readFileSync(join(certsDir, name), 'utf8');
const pool = new pg.Pool({ connectionString: process.env['BENCH_DATABASE_URL'], max: POOL_SIZE });
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

const text = { type: 'string' };
const number = { type: 'integer' };
const answer = { type: 'object', properties: { success: { type: 'boolean' }, id: text, filling: text } };
const status = {
  type: 'object',
  properties: {
    agentId: text,
    mode: text,
    status: text,
    managed: { type: 'boolean' },
    desiredReplicas: number,
    readyReplicas: number,
    since: text,
  },
};
const filling = 'x'.repeat(ANSWER_BYTES);
const row = JSON.stringify({ filling: 'y'.repeat(ROW_BYTES) });

app.get('/echo', { schema: { response: { 200: answer } } }, async () => ({ success: true, id: 'echo', filling }));

app.post('/insert', { schema: { response: { 200: answer } } }, async () => {
  const id = randomUUID();
  await pool.query({
    name: 'insert',
    text: 'INSERT INTO bench.events (id, at, payload) VALUES ($1, now(), $2)',
    values: [id, row],
  });
  return { success: true, id, filling };
});

app.get<{ Params: { workspaceId: string; agentId: string } }>(
  '/select/:workspaceId/:agentId',
  { schema: { response: { 200: status } } },
  async (request) => {
    const { workspaceId, agentId } = request.params;
    const { rows } = await pool.query({
      name: 'select',
      text: `SELECT id, mode, status, managed, desired_replicas, ready_replicas, since, last_exit
             FROM bench.agents WHERE workspace_id = $1 AND id = $2`,
      values: [workspaceId, agentId],
    });
    const found = rows[0];
    return {
      agentId: found.id,
      mode: found.mode,
      status: found.status,
      managed: found.managed,
      desiredReplicas: found.desired_replicas,
      readyReplicas: found.ready_replicas,
      since: found.since.toISOString(),
    };
  },
);

process.once('SIGTERM', () => process.exit(0));
console.log(JSON.stringify({ api: await app.listen({ host: '127.0.0.1', port: 0 }) }));
