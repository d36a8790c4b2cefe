import t from 'tap';

import { type BatchActions, createRunBatch } from '../../src/agents/batch.ts';
import type { BatchOutcome } from '../../src/agents/schema.ts';
import { IdempotencyConflict } from '../../src/idempotency/errors.ts';
import type { KeptItems } from '../../src/idempotency/keyed-request.ts';

const CALLER = { id: 'someone', kind: 'human', roles: [], traceId: '0'.repeat(32) } as const;
const log = { error: () => undefined };

function kept(done: Readonly<Record<string, BatchOutcome>> = {}): KeptItems<BatchOutcome> {
  const write = { store: async () => undefined };
  return {
    find: (item) => done[item],
    claim: () => ({ store: async () => undefined, row: () => ({ write, row: undefined }) }),
  };
}

function actions(stop: BatchActions['stop']): BatchActions {
  const never = () => Promise.reject(new Error('not asked for'));
  return { start: never, stop, promote: never, delete: never };
}

t.test('what is kept is not done again, and what is missing is', async (t) => {
  const acted: string[] = [];
  const stop: BatchActions['stop'] = async (_workspaceId, agentId) => {
    acted.push(agentId);
    return { success: true };
  };
  const batch = createRunBatch({ actions: actions(stop), log });
  const before = { agentId: 'b', success: false, code: 'AGENT_RUNNING' };
  const outcomes = await batch('demo', { action: 'stop', agentIds: ['a', 'b', 'c'] }, CALLER, kept({ b: before }));
  t.same(outcomes, [{ agentId: 'a', success: true }, before, { agentId: 'c', success: true }]);
  t.same(acted, ['a', 'c']);
});

t.test('two batches under one key: an agent that the other has done is no failure of that agent', async (t) => {
  const stop: BatchActions['stop'] = async (_workspaceId, agentId) => {
    if (agentId === 'b') throw new IdempotencyConflict();
    return { success: true };
  };
  const batch = createRunBatch({ actions: actions(stop), log });
  const running = batch('demo', { action: 'stop', agentIds: ['a', 'b'] }, CALLER, kept());
  await t.rejects(running, { code: 'IDEMPOTENCY_IN_FLIGHT' });
});
