import type { Static } from '@sinclair/typebox';
import t, { type Test } from 'tap';

import type { CheckpointSchema } from '../../src/checkpoints/schema.ts';
import { verificationKey } from '../../src/crypto/verify.ts';
import { openCheckpoint } from '../../src/transparency/checkpoint.ts';
import { leafHash } from '../../src/transparency/merkle.ts';
import { noteKey } from '../../src/transparency/note-key.ts';
import { verifyConsistency, verifyInclusion } from '../../src/transparency/verify-proof.ts';
import { type TestService, testService } from '../support/service.ts';
import { SPEC } from '../system/support/world.ts';

const BOOT = { id: 'x', kind: 'human', traceId: '0'.repeat(32) } as const;
const DEMO = '/v1/workspaces/demo/audit';
const bytes = (text: string) => Buffer.from(text, 'base64');
const all = (list: string[]) => list.map(bytes);

type Answered = Static<typeof CheckpointSchema>;

/** Checks an answer as someone would who has nothing but the log's key and the bodies. */
async function requireCheckpoint(t: Test, world: TestService, body: Answered): Promise<void> {
  const { rows } = await world.database.query(`SELECT public_key FROM signers WHERE purpose = 'checkpoint'`);
  const log = noteKey('castellan.test/log', 'ed25519', verificationKey('Ed25519', rows[0].public_key));
  const { note, size, root, entry } = body;
  const { checkpoint } = openCheckpoint(note, 'castellan.test/log', { log: [log] });
  t.equal(checkpoint.size, size);
  t.equal(Buffer.from(checkpoint.rootHash).toString('base64'), root);
  t.match(JSON.parse(bytes(entry.entry).toString()), { v: 1, chain: entry.chain, size: entry.size, root: entry.root });
  t.ok(
    verifyInclusion({
      index: entry.index,
      size,
      leafHash: leafHash(bytes(entry.entry)),
      proof: all(entry.proof),
      root: checkpoint.rootHash,
    }),
    'the entry is in the log',
  );
}

t.test('checkpoints and proofs by API', async (t) => {
  const world = await testService(t, { checkpoints: {} });
  const get = (path: string, who = 'auditor') => world.call(who, 'GET', path);
  const round = async () => world.service.app.checkpoints?.round();

  t.match(await get(`${DEMO}/checkpoint`), { status: 404, body: { code: 'NOT_FOUND' } }, 'before the first');
  for (let n = 0; n < 4; n += 1) {
    await round();
    t.equal((await world.call('operator', 'POST', '/v1/workspaces/demo/agents', { spec: SPEC })).status, 201);
    await world.service.app.workspaces.create({ workspaceId: `w${n}` }, BOOT);
  }
  await round();

  await t.test('the newest note and entry', async (t) => {
    for (const path of [DEMO, '/v1/audit', '/v1/workspaces/w1/audit']) {
      const { status, body } = await get(`${path}/checkpoint`, 'kernel-admin');
      t.equal(status, 200);
      await requireCheckpoint(t, world, body);
    }
  });

  await t.test('every event that is covered', async (t) => {
    const { events } = (await get(`${DEMO}/events`)).body;
    for (const { seq, body } of events) {
      const answer = await get(`${DEMO}/proof?seq=${seq}`);
      const { entry } = answer.body.checkpoint;
      await requireCheckpoint(t, world, answer.body.checkpoint);
      const claim = { index: seq - 1, size: entry.size, proof: all(answer.body.proof), root: bytes(entry.root) };
      t.ok(verifyInclusion({ ...claim, leafHash: leafHash(bytes(body)) }), `event ${seq}`);
      t.equal(answer.body.leafHash, leafHash(bytes(body)).toString('base64'));
    }
  });

  await t.test('every size and every later one', async (t) => {
    const { entry } = (await get(`${DEMO}/checkpoint`)).body;
    for (let to = 1; to <= entry.size; to += 1) {
      for (let from = 1; from <= to; from += 1) {
        const { body } = await get(`${DEMO}/consistency?from=${from}&to=${to}`);
        const claim = { oldSize: from, size: to, oldRoot: bytes(body.fromRoot), root: bytes(body.toRoot) };
        t.ok(verifyConsistency({ ...claim, proof: all(body.proof) }), `${from} to ${to}`);
        if (to === entry.size) t.equal(body.toRoot, entry.root);
      }
    }
  });

  await t.test('events without a checkpoint are not proved yet', async (t) => {
    const { body } = await get(`${DEMO}/checkpoint`);
    await world.call('operator', 'POST', '/v1/workspaces/demo/agents', { spec: SPEC });
    const next = body.entry.size + 1;
    t.match(await get(`${DEMO}/proof?seq=${next}`), { status: 404 });
    t.match(await get(`${DEMO}/consistency?from=1&to=${next}`), { status: 404 });
  });

  await t.test('what is no question', async (t) => {
    for (const query of [
      'proof',
      'proof?seq=0',
      'proof?seq=x',
      'proof?seq=1&more=1',
      'consistency?from=1',
      'consistency?from=2&to=1',
      'consistency?from=0&to=1',
      'checkpoint?x=1',
    ]) {
      t.match(await get(`${DEMO}/${query}`), { status: 400, body: { code: 'VALIDATION_FAILED' } }, query);
    }
  });

  await t.test('whose it is to see', async (t) => {
    t.match(await get(`${DEMO}/checkpoint`, 'operator'), { status: 403, body: { code: 'PERMISSION_DENIED' } });
    t.match(await get(`${DEMO}/proof?seq=1`, 'outsider'), { status: 404 });
    t.match(await get('/v1/audit/checkpoint', 'operator'), { status: 403 });
    t.match(await get('/v1/workspaces/nobody/audit/checkpoint', 'kernel-admin'), { status: 404 });
  });

  await t.test('rows that were changed are no proof, and the log that was changed is no readiness', async (t) => {
    const edit = (statement: string) => world.database.query(`SET session_replication_role = replica; ${statement}`);
    await edit(`UPDATE audit_events SET body = body || ' ' WHERE chain = 'demo' AND seq = 1`);
    t.match(await get(`${DEMO}/proof?seq=1`), { status: 503, body: { code: 'AUDIT_UNAVAILABLE' } });
    await edit(`UPDATE audit_checkpoint_entries SET entry = entry || ' ' WHERE index = 0`);
    await t.rejects(async () => round(), { code: 'CHECKPOINT_INCONSISTENT' });
    const ready = await (await fetch(`${world.service.opsUrl}/readyz`)).json();
    t.match(ready, {
      status: 'unavailable',
      checks: { checkpoints: { ok: false, detail: 'CHECKPOINT_INCONSISTENT' } },
    });
    const metrics = await (await fetch(`${world.service.opsUrl}/metrics`)).text();
    t.match(metrics, /^castellan_checkpoint_refusals_total 1$/m);
  });
});
