import { generateKeyPairSync } from 'node:crypto';
import t from 'tap';

import { newId } from '../../src/ids.ts';
import { createErase } from '../../src/retention/erasures.ts';
import { verifyHere } from '../audit-verify/support/run.ts';
import { testService } from '../support/service.ts';
import { openWorld, SPEC, type World } from '../system/support/world.ts';

const world = await openWorld(t);

const audit = (workspaceId: string) => `/v1/workspaces/${workspaceId}/audit`;
const erase = (workspaceId: string, body: object, status = 200, who = 'kernel-admin') =>
  world.expect(status, who, 'POST', `${audit(workspaceId)}/erasures`, body);
const agentPath = (workspaceId: string, agentId: string) => `/v1/workspaces/${workspaceId}/agents/${agentId}`;

interface Shown {
  seq: number;
  eventType: string;
  payload: { reason?: { c: string } };
  personal?: { reason: string };
}

async function events(workspaceId: string): Promise<Shown[]> {
  return (await world.expect(200, 'kernel-admin', 'GET', `${audit(workspaceId)}/events?limit=500`)).body.events;
}

/** A quarantined agent; the seq of its event. */
async function quarantined(workspaceId: string, reason: string): Promise<{ agentId: string; seq: number }> {
  const agentId = await world.sandboxAgent(workspaceId);
  const path = `${agentPath(workspaceId, agentId)}/quarantine`;
  const { body } = await world.expect(200, 'kernel-admin', 'POST', path, { reason });
  return { agentId, seq: body.auditEvent.seq };
}

/** The tables, but those of the audit, that have the text anywhere in a row. */
async function tablesWith(w: World, text: string): Promise<string[]> {
  const { rows: tables } = await w.database.query(
    `SELECT c.relname AS name FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
     AND NOT c.relispartition ORDER BY 1`,
  );
  const found: string[] = [];
  for (const { name } of tables) {
    const { rows } = await w.database.query(`SELECT 1 FROM ${name} r WHERE strpos(r::text, $1) > 0 LIMIT 1`, [text]);
    if (rows.length > 0) found.push(name);
  }
  return found;
}

async function verified(workspaceId: string) {
  const { verdict, report } = await verifyHere(['--database-url', world.database.superuserUrl, '--chain', workspaceId]);
  return { verdict, findings: report.findings.map(({ class: name, seq }) => `${seq} ${name}`) };
}

t.test('what was written is shown, erased for good, and the chain verifies as before', async (t) => {
  const ws = await world.workspace();
  const one = await quarantined(ws, 'canary one');
  const two = await quarantined(ws, 'canary two');
  const before = (await events(ws)).filter(({ eventType }) => eventType === 'agent.quarantined');
  t.match(before, [{ personal: { reason: 'canary one' } }, { personal: { reason: 'canary two' } }]);
  t.same(await tablesWith(world, 'canary'), ['agents', 'audit_personal']);
  t.match(await verified(ws), { verdict: 'ok', findings: [] });

  const { body } = await erase(ws, { events: [one.seq], reason: 'asked' });
  t.match(body, { values: 1, more: false, auditEvent: { chain: ws } });
  const [erased, other] = (await events(ws)).filter(({ eventType }) => eventType === 'agent.quarantined');
  t.notOk('personal' in Object(erased));
  t.strictSame(erased?.payload, before[0]?.payload, 'the event is what it was');
  t.match(other, { personal: { reason: 'canary two' } });
  t.same(await tablesWith(world, 'canary one'), []);
  t.match((await world.expect(200, 'kernel-admin', 'GET', agentPath(ws, one.agentId))).body, {
    quarantine: { reason: 'erased' },
  });
  t.match((await world.expect(200, 'kernel-admin', 'GET', agentPath(ws, two.agentId))).body, {
    quarantine: { reason: 'canary two' },
  });
  t.match(await verified(ws), { verdict: 'ok', findings: [`${one.seq} redacted`] });

  t.match((await erase(ws, { events: [one.seq], reason: 'asked' })).body, { values: 0 }, 'once more');
  const all = await erase(ws, { actorId: 'kernel-admin', reason: 'asked by them' });
  t.match(all.body, { values: 3 }, 'the quarantine, and why two erasures were performed');
  t.same(await tablesWith(world, 'canary'), []);
  t.match(await verified(ws), { verdict: 'ok' });
  t.match((await events(ws)).at(-1), {
    eventType: 'erasure.performed',
    payload: { actorId: 'kernel-admin', values: 3, erasureId: all.body.erasureId },
    personal: { reason: 'asked by them' },
  });
  const answer = await world.expect(200, 'kernel-admin', 'POST', `${audit(ws)}/verify`);
  t.match(answer.body, { ok: true }, 'by the service too');
  t.ok(answer.body.findings.every((finding: { class: string }) => finding.class === 'redacted'));

  await world.sql('DELETE FROM audit_personal WHERE chain = $1', [ws]);
  t.equal((await verified(ws)).verdict, 'tampered', 'the same without an erasure');
});

t.test('copies in other tables: policy versions, justifications, revocations', async (t) => {
  const ws = await world.workspace();
  const agentId = await world.sandboxAgent(ws);
  const promote = { justification: 'canary j' };
  await world.expect(200, 'kernel-admin', 'POST', `${agentPath(ws, agentId)}/promote`, promote);
  const { body: snapshot } = await world.expect(200, 'kernel-admin', 'GET', `/v1/workspaces/${ws}/policy/snapshot`);
  const { modules, data } = snapshot.bundle;
  const bundle = { modules, data: { ...data, more: 1 } };
  const reload = { policySet: snapshot.policySet, bundle, reason: 'canary p' };
  await world.expect(200, 'kernel-admin', 'POST', `/v1/workspaces/${ws}/policy/hotreload`, reload);
  t.same(await tablesWith(world, 'canary'), ['audit_personal', 'policy_versions', 'promotions']);
  await erase(ws, { actorId: 'kernel-admin', reason: 'asked' });
  t.same(await tablesWith(world, 'canary'), []);
  t.equal((await verified(ws)).verdict, 'ok');
  await world.expect(200, 'kernel-admin', 'POST', `${agentPath(ws, agentId)}/start`);

  const signer = `manifest-${newId()}`;
  const publicKey = generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' });
  const entry = { signerId: signer, alg: 'Ed25519', purpose: 'manifest', publicKey };
  await world.expect(201, 'kernel-admin', 'POST', '/v1/signers', entry);
  await world.expect(200, 'kernel-admin', 'POST', `/v1/signers/${signer}/revoke`, { reason: 'canary s' });
  t.same(await tablesWith(world, 'canary'), ['audit_personal', 'signers']);
  const system = { actorId: 'kernel-admin', reason: 'asked' };
  t.match((await world.expect(200, 'kernel-admin', 'POST', '/v1/audit/erasures', system)).body, {
    values: 1,
    auditEvent: { chain: '_system' },
  });
  t.same(await tablesWith(world, 'canary'), []);
  t.equal((await verified('_system')).verdict, 'ok');
});

t.test('copies of what has no value beside its event any more', async (t) => {
  const ws = await world.workspace();
  const { agentId } = await quarantined(ws, 'canary q');
  await world.sql('DELETE FROM audit_personal WHERE chain = $1', [ws]);
  await erase(ws, { actorId: 'kernel-admin', reason: 'asked' });
  t.same(await tablesWith(world, 'canary'), []);
  t.match((await world.expect(200, 'kernel-admin', 'GET', agentPath(ws, agentId))).body, {
    quarantine: { reason: 'erased' },
  });
});

t.test('a copy that signers have goes with its event, and only with that', async (t) => {
  const revoke = async (reason: string) => {
    const signerId = `manifest-${newId()}`;
    const publicKey = generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' });
    const entry = { signerId, alg: 'Ed25519', purpose: 'manifest', publicKey };
    await world.expect(201, 'kernel-admin', 'POST', '/v1/signers', entry);
    await world.expect(200, 'kernel-admin', 'POST', `/v1/signers/${signerId}/revoke`, { reason });
    const { rows } = await world.database.query("SELECT seq FROM audit_heads WHERE chain = '_system'");
    return { signerId, seq: Number(rows[0].seq) };
  };
  const [lost, kept, later] = [await revoke('canary lost'), await revoke('kept'), await revoke('canary first')];
  await world.expect(200, 'kernel-admin', 'POST', `/v1/signers/${later.signerId}/compromise`, { reason: 'newer' });
  await world.sql("DELETE FROM audit_personal WHERE chain = '_system' AND seq = $1", [lost.seq]);
  const request = { events: [lost.seq, later.seq], reason: 'asked' };
  await world.expect(200, 'kernel-admin', 'POST', '/v1/audit/erasures', request);
  t.same(await tablesWith(world, 'canary'), [], 'also where there is no value beside the event');
  const reasonOf = async ({ signerId }: { signerId: string }) =>
    (await world.database.query('SELECT revoked_reason FROM signers WHERE signer_id = $1', [signerId])).rows;
  t.match([await reasonOf(kept), await reasonOf(later)], [[{ revoked_reason: 'kept' }], [{ revoked_reason: 'newer' }]]);
});

t.test('only this chain, only this actor', async (t) => {
  const [ws, other] = [await world.workspace(), await world.workspace()];
  await quarantined(ws, 'canary here');
  const there = await quarantined(other, 'canary there');
  t.match((await erase(ws, { actorId: 'kernel-adm', reason: 'x' })).body, { values: 0 });
  t.match((await erase(ws, { actorId: 'kernel-admin', reason: 'x' })).body, { values: 2 });
  t.match((await events(other)).find(({ seq }) => seq === there.seq)?.personal, { reason: 'canary there' });
});

t.test('what is refused', async (t) => {
  const ws = await world.workspace();
  const { seq } = await quarantined(ws, 'stays');
  await erase(ws, { reason: 'x' }, 400);
  await erase(ws, { actorId: 'a', events: [1], reason: 'x' }, 400);
  await erase(ws, { events: [], reason: 'x' }, 400);
  await erase(ws, { events: [1, 1], reason: 'x' }, 400);
  await erase(ws, { events: Array.from({ length: 1001 }, (_, at) => at + 1), reason: 'x' }, 400);
  await erase(ws, { actorId: 'a' }, 400);
  t.match((await erase(ws, { events: [seq, 9999], reason: 'x' }, 422)).body, { code: 'UNPROCESSABLE' });
  t.match((await events(ws)).find((event) => event.seq === seq)?.personal, { reason: 'stays' }, 'and nothing erased');
  await erase(ws, { actorId: 'a', reason: 'x' }, 403, 'auditor');
  await erase('demo', { actorId: 'a', reason: 'x' }, 403, 'operator');
  await erase('nowhere', { actorId: 'a', reason: 'x' }, 404);
  await world.expect(403, 'operator', 'POST', '/v1/audit/erasures', { actorId: 'a', reason: 'x' });
});

t.test('a legal hold keeps everything, until it is released', async (t) => {
  const ws = await world.workspace();
  const { seq } = await quarantined(ws, 'stays');
  const hold = (method: string, status = 200, who = 'kernel-admin', body?: object) =>
    world.expect(status, who, method, `${audit(ws)}/hold`, body);
  t.strictSame((await hold('GET', 200, 'auditor')).body, { held: false });
  await hold('PUT', 403, 'auditor', { reason: 'x' });
  const placed = await hold('PUT', 200, 'kernel-admin', { reason: 'litigation' });
  t.match(placed.body, { held: true, placedBy: 'kernel-admin', reason: 'litigation' });
  t.strictSame((await hold('PUT', 200, 'kernel-admin', { reason: 'again' })).body, placed.body, 'twice is once');
  t.strictSame((await hold('GET', 200, 'auditor')).body, placed.body);
  t.match((await erase(ws, { events: [seq], reason: 'x' }, 409)).body, { code: 'LEGAL_HOLD' });
  await hold('DELETE', 403, 'auditor', { reason: 'x' });
  await hold('DELETE', 400);
  t.strictSame((await hold('DELETE', 200, 'kernel-admin', { reason: 'settled' })).body, { held: false });
  t.strictSame((await hold('DELETE', 200, 'kernel-admin', { reason: 'settled' })).body, { held: false });
  t.match((await erase(ws, { events: [seq], reason: 'x' })).body, { values: 1 });
  const types = (await events(ws)).map(({ eventType }) => eventType).filter((type) => type !== 'access.denied');
  t.same(types.slice(-3), ['audit.hold.placed', 'audit.hold.released', 'erasure.performed']);
  await world.expect(404, 'kernel-admin', 'GET', `${audit('nowhere')}/hold`);
  await world.expect(200, 'kernel-admin', 'PUT', '/v1/audit/hold', { reason: 'all' });
  t.match((await world.expect(200, 'kernel-admin', 'GET', '/v1/audit/hold')).body, { held: true });
  const system = { actorId: 'nobody', reason: 'x' };
  await world.expect(409, 'kernel-admin', 'POST', '/v1/audit/erasures', system);
  await world.expect(200, 'kernel-admin', 'DELETE', '/v1/audit/hold', { reason: 'over' });
});

t.test('while others write: all that stood before an erasure in the chain is erased, and it verifies', async (t) => {
  const ws = await world.workspace();
  const replica = await testService(t, { replicaOf: world, clock: world.now });
  const agents = await Promise.all(Array.from({ length: 12 }, () => world.sandboxAgent(ws, SPEC)));
  const calls = agents.map((agentId, at) => {
    const path = `${agentPath(ws, agentId)}/quarantine`;
    return (at % 2 === 0 ? world : replica).call('kernel-admin', 'POST', path, { reason: `canary ${at}` });
  });
  const erasures = [world, replica, world].map((at) =>
    at.call('kernel-admin', 'POST', `${audit(ws)}/erasures`, { actorId: 'kernel-admin', reason: 'asked' }),
  );
  const answers = await Promise.all([...calls, ...erasures]);
  t.ok(answers.every(({ status }) => status === 200));
  const list = await events(ws);
  const last = list.findLast(({ eventType }) => eventType === 'erasure.performed')?.seq ?? 0;
  t.same(
    list.filter(({ seq, personal }) => seq < last && personal !== undefined),
    [],
  );
  t.equal((await verified(ws)).verdict, 'ok');
});

t.test('more than one erasure takes', async (t) => {
  const ws = await world.workspace();
  for (const reason of ['bulk a', 'bulk b', 'bulk c']) await quarantined(ws, reason);
  const eraseTwo = createErase({ audit: world.service.app.audit, limit: 2 });
  const caller = { actor: { id: 'other', kind: 'human' }, traceId: '0'.repeat(32) } as const;
  const request = { actorId: 'kernel-admin', reason: 'asked' };
  t.match(await eraseTwo(ws, request, caller), { values: 2, more: true });
  t.match(await eraseTwo(ws, request, caller), { values: 1, more: false });
  t.same(await tablesWith(world, 'bulk'), []);
  t.equal((await verified(ws)).verdict, 'ok');
});
