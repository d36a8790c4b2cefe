import t from 'tap';

import { verifyJson } from '../audit-verify/support/run.ts';
import { testDatabase } from '../support/database.ts';
import { testService } from '../support/service.ts';
import { SPEC } from './support/world.ts';

t.test('a service that signs in batches: every decision of a fresh replica rests on events signed so', async (t) => {
  const database = await testDatabase(t);
  const first = await testService(t, { database, auditSigningMode: 'batch' });
  const created = await first.call('operator', 'POST', '/v1/workspaces/demo/agents', { spec: SPEC });
  const agent = `/v1/workspaces/demo/agents/${String(created.body.id)}`;
  t.match((await first.call('kernel-admin', 'POST', `${agent}/promote`, {})).body, { success: true });

  const second = await testService(t, { replicaOf: first, auditSigningMode: 'batch' });
  const started = await second.call('orchestrator', 'POST', `${agent}/start`, {});
  t.equal(started.status, 200, started.text);
  t.match((await verifyJson(['--database-url', database.superuserUrl])).report, { ok: true, findings: [] });
  const { rows } = await database.query(`SELECT DISTINCT sign_mode FROM audit_events`);
  t.same(rows, [{ sign_mode: 'batch' }]);

  await database.query(
    `DO $$ BEGIN SET LOCAL session_replication_role = replica;
       UPDATE audit_events SET batch_path = decode(repeat('00', length(batch_path)), 'hex')
       WHERE chain = 'demo' AND event_type = 'policy.activated'; END $$`,
  );
  const third = await testService(t, { replicaOf: first, auditSigningMode: 'batch' });
  const refused = await third.call('kernel-admin', 'POST', `${agent}/stop`, {});
  t.equal(refused.status, 200, 'a brake asks no policy');
  const denied = await third.call('orchestrator', 'POST', `${agent}/start`, {});
  t.equal(denied.status, 403, denied.text);
});
