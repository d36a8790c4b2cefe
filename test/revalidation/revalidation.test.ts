import t from 'tap';

import { PolicyEvaluationError } from '../../src/policy/errors.ts';
import { createRecheck } from '../../src/promotion/recheck.ts';
import { createRevalidationService } from '../../src/revalidation/service.ts';
import { WORKSPACE, type World, world } from './fixture.ts';
import { forgeUnsigned } from './forged-row.ts';

const CALLER = { actor: { id: 'admin', kind: 'human' as const } };
const WAIT = 20_000;

async function agentRow(w: World, id: string) {
  const { rows } = await w.database.query(
    `SELECT a.*, p.policy_hash, p.previous_proof FROM agents a
     JOIN agent_proofs p ON p.workspace_id = a.workspace_id AND p.id = a.proof_id WHERE a.id = $1`,
    [id],
  );
  return rows[0];
}

t.test('agents that pass get a proof for the new policy, those that fail are invalidated and stopped', async (t) => {
  const w = await world(t);
  const good = await w.agents(60);
  const bad = await w.agents(3, { capability: 'shell' });
  const policyHash = await w.activatePolicy('second');
  const { revision } = (await w.database.query('SELECT revision FROM policy_heads')).rows[0];
  const service = createRevalidationService(w.options());

  const { results, revalidation } = await service.request(WORKSPACE, undefined, CALLER, WAIT);

  t.match(revalidation, { state: 'done', total: 63, done: 63, invalidated: 3 });
  t.equal(results.length, 63);
  t.same(
    results.map((result) => result.agentId),
    [...good, ...bad].sort(),
    'by id',
  );
  const failed = results.filter((result) => result.status === 'GOVERNED_INVALIDATED');
  t.same(failed.map((result) => result.agentId).sort(), bad);
  t.match(failed[0]?.denies, [{ code: 'INVALID_CAPABILITIES' }]);

  const renewed = await agentRow(w, good[0] ?? '');
  t.equal(renewed.policy_hash, policyHash);
  t.equal(renewed.status, 'running');
  const invalid = await agentRow(w, bad[0] ?? '');
  t.not(invalid.policy_hash, policyHash, 'an old proof that fails is never renewed');
  t.equal(invalid.status, 'quarantined');
  t.equal(invalid.desired_replicas, 0);
  t.match(invalid.invalidation.denies, [{ code: 'INVALID_CAPABILITIES' }]);
  t.ok(invalid.quarantine);

  t.same(await w.renewed(), good);
  t.equal((await w.events('agent.revalidated')).length, 0, 'one event for all of them');
  const invalidations = await w.events('agent.invalidated');
  t.equal(invalidations.length, 3);
  t.match(invalidations[0]?.payload, { wasRunning: true, policyHash });
  const after = (await w.database.query('SELECT revision FROM policy_heads')).rows[0];
  t.ok(Number(after.revision) > Number(revision), 'the snapshot shows the invalidated agents under a new revision');
});

t.test('a second look changes nothing: no renewal, and only a release brings an invalidated agent back', async (t) => {
  const w = await world(t);
  await w.agents(2);
  const [bad = ''] = await w.agents(1, { capability: 'shell' });
  const service = createRevalidationService(w.options());
  await service.request(WORKSPACE, undefined, CALLER, WAIT);
  const before = await agentRow(w, bad);
  await service.request(WORKSPACE, undefined, CALLER, WAIT);
  t.equal((await w.renewed()).length, 0, 'a proof of the active policy is not renewed');

  await w.activatePolicy('lenient');
  const { results, revalidation } = await service.request(WORKSPACE, undefined, CALLER, WAIT);

  t.match(revalidation, { state: 'done', done: 3, invalidated: 0 });
  t.equal(results.find((result) => result.agentId === bad)?.status, 'GOVERNED_INVALIDATED');
  t.same(await agentRow(w, bad), before);
  t.equal((await w.renewed()).length, 2);
});

t.test('a worker that dies in the middle is followed by another, and nothing happens twice', async (t) => {
  const w = await world(t);
  await w.agents(120);
  await w.activatePolicy('second');
  let checked = 0;
  const recheck = createRecheck(w.admission);
  // The first worker stops dead in its second page: its lease stays behind, as after kill -9.
  const dying = createRevalidationService(
    w.options({
      workerId: 'dying',
      recheck: async (subject) => {
        checked += 1;
        if (checked > 110) return new Promise(() => undefined);
        return recheck(subject);
      },
    }),
  );
  const first = await dying.request(WORKSPACE, undefined, CALLER, 1000);
  t.match(first, { results: [], revalidation: { state: 'running', total: 120, done: 100 } });

  const second = createRevalidationService(w.options({ workerId: 'second', recheck }));
  await second.resume(AbortSignal.timeout(WAIT));
  t.equal((await second.find(WORKSPACE, first.revalidation.id)).state, 'running', 'the lease still holds');

  w.now.ms += 31_000;
  await second.resume(AbortSignal.timeout(WAIT));
  t.match(await second.find(WORKSPACE, first.revalidation.id), { state: 'done', done: 120, total: 120 });
  const renewed = await w.renewed();
  t.equal(renewed.length, 120);
  t.equal(new Set(renewed).size, 120);
});

t.test('two workers at once: one works, and a lost lease writes nothing', async (t) => {
  const w = await world(t);
  await w.agents(10);
  await w.activatePolicy('second');
  const entered = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  const recheck = createRecheck(w.admission);
  const slow = createRevalidationService(
    w.options({
      workerId: 'slow',
      recheck: async (subject) => {
        entered.resolve();
        await gate.promise;
        return recheck(subject);
      },
    }),
  );
  const answer = slow.request(WORKSPACE, undefined, CALLER, WAIT);
  await entered.promise;
  w.now.ms += 31_000;
  const fast = createRevalidationService(w.options({ workerId: 'fast', recheck }));
  await fast.resume(AbortSignal.timeout(WAIT));
  gate.resolve();
  t.match(await answer, { revalidation: { state: 'done', done: 10 } });
  t.equal((await w.renewed()).length, 10);
});

t.test('a newer policy ends an older revalidation', async (t) => {
  const w = await world(t);
  await w.agents(10);
  await w.activatePolicy('second');
  const recheck = createRecheck(w.admission);
  let superseded = false;
  const service = createRevalidationService(
    w.options({
      recheck: async (subject) => {
        if (!superseded) {
          superseded = true;
          await w.activatePolicy('third');
        }
        return recheck(subject);
      },
    }),
  );
  const older = await service.request(WORKSPACE, undefined, CALLER, WAIT);
  t.match(older.revalidation, { state: 'done', done: 0 });
  t.equal((await w.renewed()).length, 0, 'no proof for a policy that is not active');
  const newer = await service.request(WORKSPACE, undefined, CALLER, WAIT);
  t.match(newer.revalidation, { state: 'done', done: 10 });
});

t.test('an agent that changes while it is checked is checked again', async (t) => {
  const w = await world(t);
  const [id = ''] = await w.agents(1);
  await w.activatePolicy('second');
  const recheck = createRecheck(w.admission);
  let touched = false;
  let seen = 0;
  const service = createRevalidationService(
    w.options({
      recheck: async (subject) => {
        seen += 1;
        const outcome = await recheck(subject);
        if (!touched) {
          touched = true;
          await w.database.query("UPDATE agents SET name = 'changed' WHERE id = $1", [id]);
        }
        return outcome;
      },
    }),
  );
  t.match(await service.request(WORKSPACE, [id], CALLER, WAIT), { revalidation: { state: 'done', done: 1 } });
  t.equal(seen, 2);
  t.equal((await w.renewed()).length, 1);
});

t.test('without a signer agents that fail are stopped all the same, and the rest waits', async (t) => {
  const w = await world(t);
  // Agents that fail on two pages: the first page's invalidation changes what the second page's check rests on.
  const bad = await w.agents(1, { capability: 'shell' });
  await w.agents(110);
  bad.push(...(await w.agents(1, { capability: 'shell' })));
  await w.activatePolicy('second');
  const recheck = createRecheck(w.admission);
  const service = createRevalidationService(
    w.options({
      recheck: (subject) => {
        w.trouble.auditSigner = true;
        return recheck(subject);
      },
    }),
  );
  const paused = await service.request(WORKSPACE, undefined, CALLER, WAIT);
  t.match(paused.revalidation, { state: 'running', done: 0, invalidated: 2 });
  for (const id of bad) t.equal((await agentRow(w, id)).status, 'quarantined');
  const deferred = await w.events('agent.invalidated');
  t.same(
    deferred.map((event) => event.sign_mode),
    ['deferred', 'deferred'],
  );
  t.equal((await w.renewed()).length, 0);

  w.trouble.auditSigner = false;
  w.now.ms += 6000;
  const later = createRevalidationService(w.options({ recheck }));
  await later.resume(AbortSignal.timeout(WAIT));
  t.match(await later.find(WORKSPACE, paused.revalidation.id), { state: 'done', done: 112, invalidated: 2 });
  t.equal((await w.events('agent.invalidated')).length, 2, 'nobody is invalidated twice');
});

t.test(
  'an unsigned event that must not be signed over keeps no agent running that fails on a later page',
  async (t) => {
    const w = await world(t);
    await w.agents(100);
    const bad = await w.agents(2, { capability: 'shell' });
    await w.activatePolicy('second');
    const options = w.options();
    let forged = false;
    const service = createRevalidationService({
      ...options,
      renew: async (...due) => {
        const renewals = await options.renew(...due);
        if (!forged) await forgeUnsigned(w);
        forged = true;
        return renewals;
      },
    });
    const { revalidation } = await service.request(WORKSPACE, undefined, CALLER, WAIT);
    t.match(revalidation, { state: 'running', done: 0, invalidated: 2 });
    for (const id of bad) t.equal((await agentRow(w, id)).status, 'quarantined');
    t.equal((await w.renewed()).length, 0);
  },
);

t.test('an old proof that does not hold is never renewed, whatever the policy says', async (t) => {
  const w = await world(t);
  const [edited = '', revoked = ''] = await w.agents(2);
  await w.activatePolicy('second');
  await w.database.query(`UPDATE agent_specs SET spec = '{"name":"other"}' WHERE agent_id = $1`, [edited]);
  const service = createRevalidationService(w.options());
  const first = await service.request(WORKSPACE, undefined, CALLER, WAIT);
  t.match(
    first.results.find((result) => result.agentId === edited),
    { status: 'GOVERNED_INVALIDATED', denies: [{ code: 'SPEC_HASH_MISMATCH' }] },
  );
  t.match(
    first.results.find((result) => result.agentId === revoked),
    { status: 'GOVERNED_VALID' },
  );
  await w.database.query("UPDATE signers SET state = 'revoked', revoked_at = now() WHERE signer_id = 'proof-1'");
  const second = await service.request(WORKSPACE, [revoked], CALLER, WAIT);
  t.match(second.results, [{ status: 'GOVERNED_INVALIDATED', denies: [{ code: 'SIGNER_REVOKED' }] }]);
});

t.test('a list of agents must name governed agents of the workspace', async (t) => {
  const w = await world(t);
  const [id = ''] = await w.agents(1);
  const service = createRevalidationService(w.options());
  const unknown = '01890000-0000-7000-8000-000000000000';
  await t.rejects(service.request(WORKSPACE, [id, unknown], CALLER, WAIT), { code: 'NOT_FOUND' });
  await w.database.query("UPDATE agents SET mode = 'sandbox' WHERE id = $1", [id]);
  await t.rejects(service.request(WORKSPACE, [id], CALLER, WAIT), { code: 'CONFLICT' });
  t.equal((await w.events('revalidation.requested')).length, 0, 'nothing was started');
});

t.test('what keeps the policy from being asked quarantines nobody, and the rest is done when it is over', async (t) => {
  const w = await world(t);
  await w.agents(3);
  const bad = await w.agents(1, { capability: 'shell' });
  await w.activatePolicy('second');
  const errors: unknown[] = [];
  const service = createRevalidationService(w.options({ failed: (error) => errors.push(error) }));
  const troubles = {
    'the engine is overloaded': () => {
      w.trouble.engine = new PolicyEvaluationError('POLICY_UNAVAILABLE', 'too many evaluations are waiting');
    },
    'the head was put back': async () => {
      await w.database.query('UPDATE policy_heads SET activation_seq = 1');
    },
  };
  for (const [why, begin] of Object.entries(troubles)) {
    const { rows } = await w.database.query('SELECT activation_seq FROM policy_heads');
    await begin();
    const paused = await service.request(WORKSPACE, undefined, CALLER, WAIT);
    t.match(paused.revalidation, { state: 'running', done: 0, invalidated: 0 }, why);
    t.match(errors.at(-1), { code: 'POLICY_UNAVAILABLE' });
    w.trouble.engine = undefined;
    await w.database.query('UPDATE policy_heads SET activation_seq = $1', [rows[0].activation_seq]);
  }
  t.equal((await w.events('agent.invalidated')).length, 0);

  w.now.ms += 6000;
  await service.resume(AbortSignal.timeout(WAIT));
  t.equal(errors.length, 2);
  t.same(
    (await w.events('agent.invalidated')).map((event) => event.payload['agentId']),
    bad,
  );
  t.equal((await w.renewed()).length, 3);
});

t.test('a page that cannot be judged does not keep the one before it from being committed', async (t) => {
  const w = await world(t);
  await w.agents(101);
  await w.activatePolicy('second');
  const recheck = createRecheck(w.admission);
  let seen = 0;
  const service = createRevalidationService(
    w.options({
      failed: () => undefined,
      recheck: async (subject) => {
        seen += 1;
        if (seen > 100) throw new PolicyEvaluationError('POLICY_UNAVAILABLE', 'too many evaluations are waiting');
        return recheck(subject);
      },
    }),
  );
  const paused = await service.request(WORKSPACE, undefined, CALLER, WAIT);
  t.match(paused.revalidation, { state: 'running', done: 100 });
});

t.test('a policy that fails for one agent invalidates that agent alone', async (t) => {
  const w = await world(t);
  const good = await w.agents(2);
  const bad = await w.agents(1, { capability: 'shell' });
  await w.activatePolicy('failing');
  const recheck = createRecheck(w.admission);
  let looks = 0;
  const service = createRevalidationService(
    w.options({
      recheck: (subject) => {
        if (bad.includes(subject.agentId)) looks += 1;
        return recheck(subject);
      },
    }),
  );
  const { results, revalidation } = await service.request(WORKSPACE, undefined, CALLER, WAIT);
  t.match(revalidation, { state: 'done', done: 3, invalidated: 1 });
  t.match(
    results.find(({ agentId }) => agentId === bad[0]),
    { status: 'GOVERNED_INVALIDATED', denies: [{ code: 'INTERCEPTOR_ERROR', check: 'castellan.promotion' }] },
  );
  t.equal(looks, 2, 'after a second look');
  t.same(await w.renewed(), good);
});

t.test('an evaluation that was only stopped once costs nobody anything', async (t) => {
  const w = await world(t);
  await w.agents(2);
  await w.activatePolicy('second');
  const recheck = createRecheck(w.admission);
  w.trouble.engine = new PolicyEvaluationError('POLICY_EVALUATION_FAILED', 'stopped after 100 ms');
  const service = createRevalidationService(
    w.options({
      recheck: async (subject) => {
        const outcome = await recheck(subject);
        w.trouble.engine = undefined;
        return outcome;
      },
    }),
  );
  const { revalidation } = await service.request(WORKSPACE, undefined, CALLER, WAIT);
  t.match(revalidation, { state: 'done', done: 2, invalidated: 0 });
});

t.test('what other agents come to is no reason to judge one again', async (t) => {
  const w = await world(t);
  await w.agents(120);
  await w.agents(2, { capability: 'shell' });
  await w.activatePolicy('second');
  const recheck = createRecheck(w.admission);
  let looks = 0;
  const service = createRevalidationService(
    w.options({
      recheck: (subject) => {
        looks += 1;
        return recheck(subject);
      },
    }),
  );
  const { revalidation } = await service.request(WORKSPACE, undefined, CALLER, WAIT);
  t.match(revalidation, { state: 'done', done: 122, invalidated: 2 });
  t.equal(looks, 122);
});
