import t from 'tap';

import { readHead } from '../../src/policy/head.ts';
import { CALLER, type Replica, reload, WORKSPACE, type World, world } from './fixture.ts';

const OTHERS = Array.from({ length: 7 }, (_, n) => `other-${n}`);
const UNAVAILABLE = { code: 'POLICY_UNAVAILABLE' };
const INPUT = { actor: { id: 'someone', roles: ['operator'] } };

async function headOf(replica: Replica, workspaceId: string) {
  const { hash, activationSeq, shadow } = await replica.storage.read(workspaceId, (trx) => readHead(trx, workspaceId));
  return { hash, activationSeq, candidate: shadow?.hash ?? null };
}

/** Asks as a decision does. */
async function decide(replica: Replica, workspaceId: string): Promise<string[]> {
  const head = await headOf(replica, workspaceId);
  await replica.policy.prepare(workspaceId, head);
  t.ok(replica.policy.isPrepared(workspaceId, head));
  const { hash, activationSeq } = head;
  const outcome = await replica.policy.evaluate(workspaceId, hash, 'castellan.promotion', INPUT, activationSeq);
  return outcome?.deny.map(({ code }) => code) ?? [];
}

/** Counts loads into the engine, and keeps how many were at it at once. */
function countLoads(replica: Replica) {
  const { load } = replica.engine;
  const seen = { loads: 0, now: 0, most: 0 };
  replica.engine.load = async (hash, wasm) => {
    seen.loads += 1;
    seen.now += 1;
    seen.most = Math.max(seen.most, seen.now);
    await load(hash, wasm).finally(() => {
      seen.now -= 1;
    });
  };
  return seen;
}

async function tamper(w: World, text: string): Promise<void> {
  await w.database.query(`DO $$ BEGIN SET LOCAL session_replication_role = replica; ${text}; END $$`);
}

t.test('many workspaces', async (t) => {
  const w = await world(t);
  for (const workspaceId of OTHERS) await w.workspace(workspaceId);

  await t.test('under the same content load it once, and each by its own event', async (t) => {
    const replica = await w.replica();
    const seen = countLoads(replica);
    const answers = await Promise.all([WORKSPACE, ...OTHERS].map((workspaceId) => decide(replica, workspaceId)));
    for (const answer of answers) t.same(answer, ['PERMISSION_DENIED']);
    t.equal(seen.loads, 1);
  });

  await t.test('are compared each with its own bytes, whatever is loaded for the others', async (t) => {
    const replica = await w.replica();
    await decide(replica, WORKSPACE);
    const edits = [
      ["UPDATE policy_versions SET wasm = wasm || '\\x00' WHERE workspace_id = 'other-0'", /wasm does not have/],
      ["UPDATE policy_versions SET bundle = bundle || ' ' WHERE workspace_id = 'other-1'", /bundle does not have/],
      ["DELETE FROM audit_events WHERE chain = 'other-2' AND event_type = 'policy.activated'", /no signed event/],
    ] as const;
    for (const [text] of edits) await tamper(w, text);
    for (const [index, [text, message]] of edits.entries()) {
      const workspaceId = `other-${index}`;
      const head = await headOf(replica, workspaceId);
      await t.resolves(replica.policy.prepare(workspaceId, head), 'nothing is left to load');
      t.notOk(replica.policy.isPrepared(workspaceId, head));
      const { hash, activationSeq } = head;
      const asked = replica.policy.evaluate(workspaceId, hash, 'castellan.promotion', INPUT, activationSeq);
      await t.rejects(asked, { ...UNAVAILABLE, message }, text);
    }
    t.same(await decide(replica, 'other-3'), ['PERMISSION_DENIED']);
  });

  await t.test('with contents of their own load few at a time', async (t) => {
    const writer = await w.replica();
    const contents = OTHERS.slice(3);
    for (const workspaceId of contents) {
      await writer.activation().hotReload(workspaceId, reload(workspaceId.toUpperCase().replace('-', '_')), CALLER);
    }
    const replica = await w.replica();
    const seen = countLoads(replica);
    const answers = await Promise.all(contents.map((workspaceId) => decide(replica, workspaceId)));
    t.same(answers, [['OTHER_3'], ['OTHER_4'], ['OTHER_5'], ['OTHER_6']]);
    t.equal(seen.loads, 4);
    t.ok(seen.most <= 2);
  });
});

t.test('a load that never ends is given up, and the next one is not kept waiting by it', async (t) => {
  const w = await world(t);
  for (const workspaceId of OTHERS) await w.workspace(workspaceId);
  const replica = await w.replica({ loadLimitMs: 100 });
  const { load } = replica.engine;
  replica.engine.load = () => new Promise(() => undefined);
  const asked = await Promise.allSettled([WORKSPACE, ...OTHERS].map((workspaceId) => decide(replica, workspaceId)));
  for (const outcome of asked) t.match(outcome, { status: 'rejected', reason: UNAVAILABLE });
  replica.engine.load = load;
  const patient = await w.replica();
  t.same(await decide(patient, WORKSPACE), ['PERMISSION_DENIED'], 'it was this replica alone');
  for (let round = 0; ; round += 1) {
    const answer = await decide(replica, WORKSPACE).catch(() => undefined);
    if (answer === undefined && round < 100) continue;
    t.same(answer, ['PERMISSION_DENIED']);
    break;
  }
});

t.test('a candidate is loaded beside the active version and keeps nobody waiting', async (t) => {
  const w = await world(t);
  const { newHash } = await (await w.replica())
    .activation()
    .hotReload(WORKSPACE, reload('LATER', { mode: 'shadow' }), CALLER);
  const replica = await w.replica();
  await decide(replica, WORKSPACE);
  await replica.loader.ensureLoaded(WORKSPACE, newHash);
  t.ok(replica.engine.has(newHash));

  const slow = await w.replica();
  const { load } = slow.engine;
  const begun: string[] = [];
  slow.engine.load = (hash, wasm) => {
    begun.push(hash);
    return hash === newHash ? new Promise(() => undefined) : load(hash, wasm);
  };
  t.same(await decide(slow, WORKSPACE), ['PERMISSION_DENIED']);
  t.ok(begun.includes(newHash), 'nobody had to ask for it');
});
