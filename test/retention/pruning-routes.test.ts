import t from 'tap';

import { generateEd25519 } from '../../src/signers/drivers/local/ed25519.ts';
import { testService } from '../support/service.ts';
import { reload } from '../system/support/policies.ts';
import { SPEC } from '../system/support/world.ts';
import { connectAs, loginAs } from './pruning-support.ts';

const DEMO = '/v1/workspaces/demo';
const reason = 'older than seven years';
const now = () => new Date().toISOString();

t.test('the removal of old events by API', async (t) => {
  const world = await testService(t, { checkpoints: {} });
  const { database } = world;
  const prune = (body: object, path = DEMO, who = 'kernel-admin') =>
    world.call(who, 'POST', `${path}/audit/prunings`, body);
  const round = async () => world.service.app.checkpoints?.round();
  const agents: string[] = [];
  for (let n = 0; n < 6; n += 1) {
    const { status, body } = await world.call('operator', 'POST', `${DEMO}/agents`, { spec: SPEC });
    t.equal(status, 201);
    agents.push(body.id);
  }

  await t.test('is refused without a checkpoint, without the permission, and for what must stay', async (t) => {
    await world.service.app.workspaces.create(
      { workspaceId: 'young' },
      { id: 'x', kind: 'human', traceId: '0'.repeat(32) },
    );
    t.match(await prune({ to: 2, reason }, '/v1/workspaces/young'), {
      status: 409,
      body: { code: 'NOT_CHECKPOINTED' },
    });
    await round();
    for (const who of ['operator', 'auditor', 'kernel-approver']) {
      t.match(await prune({ to: 2, reason }, DEMO, who), { status: 403, body: { code: 'PERMISSION_DENIED' } }, who);
    }
    t.match(await prune({ to: 1000, reason }), { status: 409, body: { code: 'NOT_CHECKPOINTED' } });
    t.match(await prune({ to: 0, reason }), { status: 400 });
    t.match(await prune({ to: 2 }), { status: 400 });
    t.match(await prune({ to: 2, before: '2030-01-01T00:00:00Z', reason }), { status: 400 });
    const { rows } = await database.query("SELECT seq FROM audit_heads WHERE chain = 'young'");
    const newest = await prune({ to: Number(rows[0].seq), reason }, '/v1/workspaces/young');
    t.match(newest, { status: 409, body: { code: 'CONFLICT', detail: /newest event/ } });
    const future = new Date(Date.now() + 60_000).toISOString();
    t.match(await prune({ before: future, reason }), {
      status: 422,
      body: { code: 'UNPROCESSABLE', detail: /in the future/ },
    });
    t.match(await prune({ before: '2020-01-01T00:00:00Z', reason }), { status: 409, body: { code: 'CONFLICT' } });
    t.match(await prune({ to: 2, reason }, '/v1/workspaces/nowhere'), { status: 404 });
    t.equal((await world.call('kernel-admin', 'PUT', `${DEMO}/audit/hold`, { reason: 'a lawsuit' })).status, 200);
    t.match(await prune({ to: 2, reason }), { status: 409, body: { code: 'LEGAL_HOLD' } });
    t.match(await prune({ before: now(), reason }), { status: 409, body: { code: 'LEGAL_HOLD' } });
    t.ok((await world.call('kernel-admin', 'DELETE', `${DEMO}/audit/hold`, { reason: 'over' })).status < 300);
  });

  await t.test('the registry of signers keeps the event that vouches for it', async (t) => {
    const { rows } = await database.query(`SELECT max(seq) AS seq FROM audit_events
      WHERE chain = '_system' AND payload ->> 'registryDigest' IS NOT NULL`);
    const refused = await prune({ to: Number(rows[0].seq), reason }, '/v1');
    t.match(refused, { status: 409, body: { code: 'CONFLICT', detail: /vouches for the registry/ } });
  });

  await t.test('takes the reasons of removed revocations with it, also where they were copied', async (t) => {
    const [gone, stays] = ['manifest-gone', 'manifest-stays'];
    const seqs: number[] = [];
    for (const signerId of [gone, stays]) {
      const entry = { signerId, alg: 'Ed25519', purpose: 'manifest', publicKey: generateEd25519().publicKeyPem };
      t.equal((await world.call('kernel-admin', 'POST', '/v1/signers', entry)).status, 201);
      const revoked = await world.call('kernel-admin', 'POST', `/v1/signers/${signerId}/revoke`, { reason: 'canary' });
      t.equal(revoked.status, 200, revoked.text);
      const { rows } = await database.query("SELECT seq FROM audit_heads WHERE chain = '_system'");
      seqs.push(Number(rows[0].seq));
    }
    await round();
    const approved = await prune({ to: seqs[0], reason }, '/v1');
    t.equal(approved.status, 201, approved.text);
    await round();
    const url = await loginAs(t, database, ['castellan_maintenance']);
    const maintenance = await connectAs(t, url, 'castellan_maintenance');
    await maintenance.query("SELECT * FROM audit_prune('_system', $1, 1000)", [seqs[0]]);
    const { rows: signers } = await database.query(
      'SELECT signer_id AS id, revoked_reason AS reason FROM signers WHERE revoked_at IS NOT NULL ORDER BY 1',
    );
    t.strictSame(signers, [
      { id: gone, reason: null },
      { id: stays, reason: 'canary' },
    ]);
  });

  await t.test('is an event, and what the service needs stays', async (t) => {
    await round();
    const { status, body } = await prune({ to: 5, reason });
    t.match({ status, body }, { status: 201, body: { chain: 'demo', to: 5, receipt: { chain: 'demo' } } });
    t.match(await prune({ to: 4, reason }), { status: 409, body: { code: 'CONFLICT' } }, 'and not twice');
    await round();
    const before = await world.call('auditor', 'GET', `${DEMO}/audit/proof?seq=4`);
    t.equal(before.status, 200);
    const url = await loginAs(t, database, ['castellan_maintenance']);
    const maintenance = await connectAs(t, url, 'castellan_maintenance');
    await maintenance.query("SELECT * FROM audit_prune('demo', 5, 1000)");
    const left = await database.query("SELECT seq, event_type FROM audit_events WHERE chain = 'demo' AND seq <= 5");
    t.strictSame(
      left.rows.map(({ event_type: type }) => type),
      ['policy.activated'],
      'the event that binds the policy in force',
    );
    const page = await world.call('auditor', 'GET', `${DEMO}/audit/events?after=2&limit=1`);
    t.match(page.body, { prunedTo: 5, events: [{ seq: 6 }] });
    t.strictSame((await world.call('auditor', 'GET', `${DEMO}/audit/proof?seq=4`)).body.proof, before.body.proof);
    const started = await world.call('operator', 'POST', `${DEMO}/agents/${agents[0]}/start`);
    t.equal(started.status, 200, started.text);
    await round();
    const verified = await world.call('auditor', 'POST', `${DEMO}/audit/verify`);
    t.match(verified.body, { ok: true, findings: [{ class: 'pruned', seq: 5 }] }, verified.text);
  });

  await t.test('an older policy can still be gone back to, and loaded again', async (t) => {
    const first = await database.query("SELECT version FROM policy_versions WHERE workspace_id = 'demo'");
    const post = (action: string, body: object) => world.call('kernel-admin', 'POST', `${DEMO}/policy/${action}`, body);
    t.equal((await post('hotreload', reload({ revalidate: false }))).status, 200);
    await world.call('operator', 'POST', `${DEMO}/agents`, { spec: SPEC });
    await round();
    const { body, text } = await prune({ before: now(), reason });
    t.type(body.to, 'number', text);
    await round();
    const url = await loginAs(t, database, ['castellan_maintenance']);
    const maintenance = await connectAs(t, url, 'castellan_maintenance');
    await maintenance.query("SELECT * FROM audit_prune('demo', $1, 1000)", [body.to]);
    const left = await database.query(
      "SELECT event_type AS type FROM audit_events WHERE chain = 'demo' AND seq <= $1",
      [body.to],
    );
    t.strictSame(left.rows, [{ type: 'policy.activated' }, { type: 'policy.activated' }]);
    const back = await post('rollback', { version: first.rows[0].version, revalidate: false });
    t.equal(back.status, 200, back.text);
    const again = await post('hotreload', reload({ revalidate: false }));
    t.equal(again.status, 200, again.text);
    await round();
    const verified = await world.call('auditor', 'POST', `${DEMO}/audit/verify`);
    t.match(verified.body, { ok: true, findings: [{ class: 'pruned', seq: body.to }] }, verified.text);
  });

  await t.test('by age takes all that may go', async (t) => {
    const { body, status, text } = await prune({ before: now(), reason });
    t.equal(status, 201, text);
    const { rows } = await database.query("SELECT seq FROM audit_heads WHERE chain = 'demo'");
    t.ok(body.to > 12 && body.to < Number(rows[0].seq) - 1);
  });
});
