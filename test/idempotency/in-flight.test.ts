import { createHash } from 'node:crypto';
import t from 'tap';

import { InFlight } from '../../src/idempotency/in-flight.ts';

const digest = (text: string) => createHash('sha256').update(text).digest();
const keyOf = (name: string, body = 'body') => ({ workspaceId: 'demo', scope: digest(name), request: digest(body) });

t.test('one at a time by key', async (t) => {
  const inFlight = new InFlight();
  const { promise: held, resolve: release } = Promise.withResolvers<string>();
  const first = inFlight.alone(keyOf('a'), () => held);
  const never = () => t.fail('must not run');
  await t.rejects(
    inFlight.alone(keyOf('a'), async () => never()),
    { code: 'IDEMPOTENCY_IN_FLIGHT' },
  );
  await t.rejects(
    inFlight.alone(keyOf('a', 'other'), async () => never()),
    { code: 'IDEMPOTENCY_KEY_REUSED' },
  );
  t.equal(await inFlight.alone(keyOf('b'), async () => 'b'), 'b');
  release('a');
  t.equal(await first, 'a');
  await t.rejects(
    inFlight.alone(keyOf('a'), async () => Promise.reject(new Error('failed'))),
    /failed/,
  );
  t.equal(await inFlight.alone(keyOf('a'), async () => 'again'), 'again', 'a failure gives the key back');
});

t.test('no more than there may be connections', async (t) => {
  const inFlight = new InFlight();
  const { promise: held, resolve: release } = Promise.withResolvers<void>();
  const running = Array.from({ length: 4096 }, (_, n) => inFlight.alone(keyOf(`k${n}`), () => held));
  await t.rejects(
    inFlight.alone(keyOf('one more'), async () => undefined),
    { code: 'OVERLOADED' },
  );
  release();
  await Promise.all(running);
  await inFlight.alone(keyOf('one more'), async () => undefined);
});
