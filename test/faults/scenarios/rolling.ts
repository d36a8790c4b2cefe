import { randomBytes } from 'node:crypto';
import { join } from 'node:path';

import { type CastellanClient, CastellanError, createClient } from '../../../packages/client/src/index.ts';
import { SPEC } from '../../system/support/world.ts';
import { moreAcknowledged } from '../support/conduct.ts';
import type { Operation, Outcome } from '../support/history.ts';
import type { OwnScenario } from '../support/run.ts';
import type { World } from '../support/world.ts';
import { requireExit } from './signals.ts';

const CLIENTS = 6;
const DRAINED_WITHIN_MS = 25_000;

export const ROLLING_SCENARIOS: readonly OwnScenario[] = [
  {
    name: 'rolling-restart',
    why: 'two instances are replaced one after the other under load: no call of a client fails, and nothing happens twice',
    runs: 10,
    run: async (world, { certsDir }) => {
      const pair = [await world.boot(), await world.boot()];
      const serverUrls = pair.map(({ apiUrl }) => apiUrl);
      const failed: string[] = [];
      let stopping = false;
      const one = async (): Promise<void> => {
        const pem = (name: string) => join(certsDir, name);
        const trace = { id: '' };
        await using client = await createClient({
          serverUrls,
          caCertPemRef: pem('ca.crt'),
          clientCertPemRef: pem('operator.crt'),
          clientKeyPemRef: pem('operator.key'),
          traceparent: () => `00-${trace.id}-${trace.id.slice(0, 15)}1-01`,
        });
        while (!stopping) await round(world, { client, trace, failed });
      };
      const clients = Promise.all(Array.from({ length: CLIENTS }, one));
      try {
        for (const instance of pair) {
          await moreAcknowledged(world, 20);
          await requireExit(terminated(instance), DRAINED_WITHIN_MS, [0]);
          await moreAcknowledged(world, 5);
          await world.recovered(await world.boot({ apiPort: Number(new URL(instance.apiUrl).port) }));
        }
        await moreAcknowledged(world, 20);
      } finally {
        stopping = true;
        await clients;
      }
      if (failed.length > 0) throw new Error(`${failed.length} calls failed: ${failed.slice(0, 5).join('; ')}`);
    },
  },
];

function terminated<T extends { expectEnd(): void; child: { kill(signal: 'SIGTERM'): unknown } }>(instance: T): T {
  instance.expectEnd();
  instance.child.kill('SIGTERM');
  return instance;
}

interface App {
  readonly client: CastellanClient;
  /** Of the call under way: all attempts of it share one, so that what any of them did is seen together. */
  readonly trace: { id: string };
  readonly failed: string[];
}

/** What an embedding app does all day: an agent is created, started and stopped. */
async function round(world: World, app: App): Promise<void> {
  const params = { workspaceId: 'demo' };
  const name = `agent ${world.canaries.marks[0]?.value}`;
  const agentId = await told(world, app, 'createAgent', undefined, async () => {
    const { body } = await app.client.request('createAgent', { params, body: { spec: { ...SPEC, name } } });
    return { status: 201, agentId: body.id };
  });
  if (agentId === undefined) return;
  const input = { params: { ...params, agentId } };
  await told(world, app, 'startAgent', agentId, async () => {
    const { body } = await app.client.request('startAgent', input);
    const { decisionId, alreadyRunning, auditEvent: receipt } = body;
    return { status: 200, agentId, decisionId, alreadyRunning, receipt };
  });
  await told(world, app, 'stopAgent', agentId, async () => {
    const { body } = await app.client.request('stopAgent', input);
    return { status: 200, agentId, receipt: body.auditEvent ?? undefined };
  });
}

type Answered = Extract<Outcome, { kind: 'answered' }>;
type Told = Pick<Answered, 'status' | 'agentId' | 'decisionId' | 'alreadyRunning' | 'receipt'>;

/** Makes one call of the client and keeps what the app was told; the agent's id, or undefined when it failed. */
async function told(
  world: World,
  { trace, failed }: App,
  operation: Operation,
  agentId: string | undefined,
  call: () => Promise<Told>,
): Promise<string | undefined> {
  trace.id = randomBytes(16).toString('hex');
  const sentAt = performance.now();
  let outcome: Outcome;
  try {
    outcome = { kind: 'answered', replayed: false, retryAfter: false, leaks: [], ...(await call()) };
  } catch (error) {
    if (!(error instanceof CastellanError)) throw error;
    failed.push(`${operation}: ${error.kind} ${error.code} after ${error.attempts} attempts (trace ${trace.id})`);
    outcome = { kind: 'unknown', reason: error.code };
  }
  const at = { who: 'operator', workspaceId: 'demo', instance: 'the pair', traceId: trace.id };
  world.history.add({ ...at, operation, agentId, sentAt, endedAt: performance.now(), outcome });
  return outcome.kind === 'answered' ? outcome.agentId : undefined;
}
