import t from 'tap';

import { agentsFixture, CALLER } from '../agents/fixture.ts';

t.test('while nothing can be signed no manifest is judged, and afterwards all goes on', async (t) => {
  const f = await agentsFixture(t);
  const spec = { name: 'a', profile: 'illuvrse' };
  const before = (await f.events()).length;
  f.signer.down = true;
  await t.rejects(f.service.create('demo', { spec }, CALLER), { code: 'SIGNER_UNAVAILABLE' });
  await t.rejects(f.service.create('demo', { spec, manifest: {} }, CALLER), { code: 'SIGNER_UNAVAILABLE' });
  t.equal((await f.events()).length, before);
  f.signer.down = false;
  await t.rejects(f.service.create('demo', { spec }, CALLER), { code: 'MANIFEST_REQUIRED' });
  t.match((await f.events()).at(-1), { event_type: 'manifest.rejected', sign_mode: 'event' });
  const { agent } = await f.service.create('demo', { spec: { name: 'b' } }, CALLER);
  t.equal(agent.name, 'b');
});
