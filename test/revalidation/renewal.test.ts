import t from 'tap';

import { readHead } from '../../src/policy/head.ts';
import { renewProofs } from '../../src/revalidation/renewal.ts';
import { createRevalidationService } from '../../src/revalidation/service.ts';
import { DAY, type World, world } from './fixture.ts';

function renewal(w: World) {
  const revalidation = createRevalidationService(w.options());
  const { storage, audit } = w;
  const round = async () => {
    const clock = () => w.now.ms;
    const options = { storage, audit, revalidation, head: readHead, clock, ttlMs: 90 * DAY };
    await renewProofs(options, AbortSignal.timeout(20_000));
    // A round only begins; the work goes on beside it.
    await revalidation.settled();
  };
  return { round };
}

t.test('a proof is renewed when two thirds of its life are over, and not before', async (t) => {
  const w = await world(t);
  const old = await w.agents(2, { issuedAt: w.now.ms - 61 * DAY });
  await w.agents(2, { issuedAt: w.now.ms - 59 * DAY });
  const { round } = renewal(w);

  await round();
  t.same(await w.renewed(), old);
  t.match((await w.events('revalidation.requested'))[0]?.payload, { cause: 'renewal', agents: 2 });

  await round();
  t.equal((await w.renewed()).length, 2, 'the renewed ones are young again');
  w.now.ms += 2 * DAY;
  await round();
  t.equal((await w.renewed()).length, 4);
});

t.test('agents of an older policy are left to a revalidation', async (t) => {
  const w = await world(t);
  await w.agents(1, { issuedAt: w.now.ms - 61 * DAY });
  await w.activatePolicy('second');
  await renewal(w).round();
  t.equal((await w.events('revalidation.requested')).length, 0);
});

t.test('what no longer passes is invalidated', async (t) => {
  const w = await world(t);
  const bad = await w.agents(1, { issuedAt: w.now.ms - 61 * DAY, capability: 'shell' });
  await renewal(w).round();
  const events = await w.events('agent.invalidated');
  t.same(
    events.map((event) => event.payload['agentId']),
    bad,
  );
  t.equal((await w.renewed()).length, 0);
});
