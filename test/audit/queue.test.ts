import t from 'tap';

import { ChainQueues, PATIENCE_MS, type Queued } from '../../src/audit/queue.ts';

const PREPARED: Queued = { brake: false, alone: false, prepared: true };
const BRAKE: Queued = { ...PREPARED, brake: true };

/** Queues with one turn out, taken at 0. */
function underWay() {
  const queues = new ChainQueues<Queued>({ shared: 3, waiting: 1 });
  queues.push('first', PREPARED);
  const turn = queues.take(0);
  if (turn === undefined) throw new Error('nothing was taken');
  return { queues, turn };
}

const chains = (turn: ReturnType<ChainQueues<Queued>['take']>) => turn?.batches.map(({ chain }) => chain);

t.test('prepared entries wait for the turn that is out, and not for long', async (t) => {
  const { queues, turn } = underWay();
  queues.push('second', PREPARED);
  t.equal(queues.take(PATIENCE_MS - 1), undefined);
  t.equal(queues.isHeldBack, true);
  t.strictSame(chains(queues.take(PATIENCE_MS)), ['second']);
  queues.push('third', PREPARED);
  t.equal(queues.take(PATIENCE_MS + 1), undefined);
  queues.done(turn);
  t.equal(queues.take(PATIENCE_MS + 1), undefined, 'another one is out');
});

t.test('many of them, and one with statements of its own, are worth another turn', async (t) => {
  const many = underWay().queues;
  for (let n = 0; n < 48; n += 1) many.push(`chain ${n}`, PREPARED);
  t.equal(chains(many.take(1))?.length, 48);
  const { queues } = underWay();
  queues.push('second', { ...PREPARED, prepared: false });
  t.strictSame(chains(queues.take(1)), ['second']);
});

t.test('brakes never wait, and do not keep the others waiting', async (t) => {
  const { queues } = underWay();
  queues.push('second', PREPARED);
  queues.push('third', BRAKE);
  t.strictSame(chains(queues.take(PATIENCE_MS - 1)), ['third']);
  t.strictSame(chains(queues.take(PATIENCE_MS)), ['second'], 'by the time of the last ordinary turn');
});
