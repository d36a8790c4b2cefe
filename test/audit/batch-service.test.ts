import t from 'tap';

import { testService } from '../support/service.ts';

interface Event {
  readonly eventType: string;
  readonly signature: string;
  readonly signMode: string;
  readonly batch?: { readonly index: number; readonly size: number; readonly path: string[] };
}

t.test('a service in mode batch, and one in mode event beside it', async (t) => {
  const batch = await testService(t, { auditSigningMode: 'batch' });
  const event = await testService(t, { replicaOf: batch });
  const events = async (path: string): Promise<Event[]> => {
    const { status, body } = await batch.call('auditor', 'GET', path);
    t.equal(status, 200);
    return body.events;
  };
  const create = (service: typeof batch, workspaceId: string) =>
    service.call('kernel-admin', 'POST', '/v1/workspaces', { workspaceId });

  t.equal((await create(batch, 'one')).status, 201);
  t.equal((await create(event, 'two')).status, 201);
  const one = await events('/v1/workspaces/one/audit/events');
  t.equal(one[0]?.eventType, 'audit.signmode.switched', 'a chain begins in mode event');
  for (const [index, { signMode, signature, batch: place }] of one.entries()) {
    t.equal(signMode, 'batch');
    t.equal(signature, one[0]?.signature);
    t.match(place, { index, size: one.length });
    t.ok(place?.path.every((hash) => Buffer.from(hash, 'base64').length === 32));
  }
  const two = await events('/v1/workspaces/two/audit/events');
  t.ok(two.every(({ signMode, batch: place }) => signMode === 'event' && place === undefined));

  for (const chain of ['workspaces/one/audit', 'workspaces/two/audit', 'workspaces/demo/audit', 'audit']) {
    const { status, body } = await event.call('auditor', 'POST', `/v1/${chain}/verify`);
    t.equal(status, 200);
    t.match(body, { ok: true, findings: [] }, chain);
  }
});
