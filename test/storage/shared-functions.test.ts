import { randomUUID } from 'node:crypto';

import pg from 'pg';
import t, { type Test } from 'tap';

import { type TestDatabase, testDatabase } from '../support/database.ts';

const HASH = `sha256:${'0'.repeat(64)}`;
const NOW = '2026-01-01T00:00:00.000Z';

/** Two workspaces with an agent each, and a session of the service's own role. */
async function world(t: Test) {
  const database = await testDatabase(t);
  const a = randomUUID();
  const b = randomUUID();
  for (const [workspace, agent] of [
    ['a', a],
    ['b', b],
  ] as const) {
    await addAgent(database, workspace, agent);
  }
  const client = new pg.Client({ connectionString: database.appUrl, options: '-c role=castellan_app' });
  await client.connect();
  t.teardown(() => client.end());
  const call = async (name: string, ...values: unknown[]) => {
    const list = values.map((_, index) => `$${index + 1}`).join(', ');
    return (await client.query(`SELECT * FROM ${name}(${list})`, values)).rows;
  };
  const query = async (text: string) => (await client.query(text)).rows;
  return { database, a, b, call, query };
}

function digestOf(workspace: string): string {
  return `sha256:${workspace.repeat(64)}`;
}

async function addAgent(database: TestDatabase, workspace: string, agent: string): Promise<void> {
  await database.query(`INSERT INTO workspaces (id, display_name, created_at, created_by) VALUES ($1, $1, $2, 'x')`, [
    workspace,
    NOW,
  ]);
  await database.query('INSERT INTO audit_heads (chain, seq, hash, updated_at) VALUES ($1, 0, $2, $3)', [
    workspace,
    '0'.repeat(64),
    NOW,
  ]);
  await database.query(
    `INSERT INTO policy_versions (workspace_id, version, policy_set, hash, bundle, wasm, wasm_sha256, compiler_version,
      packages, created_at, created_by) VALUES ($1, 1, 's', $2, '', '', $2, '1', '{}', $3, 'x')`,
    [workspace, HASH, NOW],
  );
  await database.query(
    `INSERT INTO policy_heads (workspace_id, policy_set, version, hash, activation_seq, activated_at, activated_by, revision)
      VALUES ($1, 's', 1, $2, 1, $3, 'x', 1)`,
    [workspace, HASH, NOW],
  );
  await database.query(
    `INSERT INTO agents (workspace_id, id, name, name_folded, mode, status, spec_version, spec_hash, capabilities, managed,
      since, created_at, created_by, updated_at) VALUES ($1, $2, 'n', 'n', 'sandbox', 'stopped', 1, $3, '{}', false, $4, $4, 'x', $4)`,
    [workspace, agent, HASH, NOW],
  );
}

for (const name of [
  'agents_run_status',
  'agents_run_states',
  'agents_admission_subjects',
  'agents_admission_fingerprints',
]) {
  t.test(`${name} reads the pairs of workspace and agent it is given, and no other`, async (t) => {
    const { a, b, call } = await world(t);
    const pairs = (rows: { workspace: string; id: string }[]) => rows.map((row) => `${row.workspace} ${row.id}`).sort();
    t.strictSame(pairs(await call(name, ['a', 'b'], [1, 1], [a, b])), [`a ${a}`, `b ${b}`].sort());
    t.strictSame(pairs(await call(name, ['a', 'b'], [2, 0], [a, b])), [`a ${a}`], 'the agent of another workspace');
    t.strictSame(await call(name, ['a', 'b'], [1, 1], [b, a]), [], 'exchanged');
    t.strictSame(await call(name, ['a'], [1], [b]), []);
    t.strictSame(await call(name, ['nobody'], [1], [a]), []);
  });
}

t.test('proof_statements_by_digest reads the pairs of workspace and digest it is given, and no other', async (t) => {
  const { database, call } = await world(t);
  for (const workspace of ['a', 'b']) {
    await database.query(`INSERT INTO proof_statements VALUES ($1, $2, '{}', now())`, [workspace, digestOf(workspace)]);
  }
  const read = (...question: [string[], number[], string[]]) => call('proof_statements_by_digest', ...question);
  const [a, b] = [digestOf('a'), digestOf('b')];
  t.match(await read(['a', 'b'], [1, 1], [a, b]), [
    { workspace: 'a', id: a },
    { workspace: 'b', id: b },
  ]);
  t.match(await read(['a', 'b'], [2, 0], [a, b]), [{ workspace: 'a', id: a }], 'the statement of another workspace');
  t.strictSame(await read(['a', 'b'], [1, 1], [b, a]), [], 'exchanged');
  t.strictSame(await read(['nobody'], [1], [a]), []);
});

t.test('change_runs changes the pairs it is given, or nothing', async (t) => {
  const { database, a, b, call } = await world(t);
  const change = (workspaces: string[], ids: string[]) => {
    const each = <T>(value: T): T[] => ids.map(() => value);
    const quarantine = each(null);
    return call(
      'change_runs',
      workspaces,
      ids,
      each('running'),
      each(1),
      each(1),
      each(true),
      quarantine,
      each(NOW),
      each(null),
      each(false),
    );
  };
  const running = async () =>
    (await database.query(`SELECT workspace_id FROM agents WHERE status = 'running' ORDER BY 1`)).rows;
  const counted = async () =>
    (await database.query(`SELECT workspace_id, status, n::int FROM agent_counts WHERE n > 0 ORDER BY 1, 2`)).rows;

  for (const [workspaces, ids] of [
    [['a'], [b]],
    [
      ['a', 'b'],
      [b, a],
    ],
    [
      ['a', 'a'],
      [a, b],
    ],
    [
      ['a', 'b'],
      [a, randomUUID()],
    ],
  ] as const) {
    await t.rejects(change([...workspaces], [...ids]), { code: 'CA003' });
  }
  t.strictSame(await running(), []);
  await change(['b', 'a'], [b, a]);
  t.strictSame(await running(), [{ workspace_id: 'a' }, { workspace_id: 'b' }]);
  t.strictSame(await counted(), [
    { workspace_id: 'a', status: 'running', n: 1 },
    { workspace_id: 'b', status: 'running', n: 1 },
  ]);
});

t.test('a replica of the release before can still stop agents', async (t) => {
  const { database, a, call } = await world(t);
  await call('change_runs', ['a'], [a], ['stopping'], [0], [0], [null], [null], [NOW]);
  const { rows } = await database.query('SELECT status, generation::int, stop_now FROM agents WHERE id = $1', [a]);
  t.strictSame(rows, [{ status: 'stopping', generation: 1, stop_now: false }]);
});

t.test('audit_append stores nothing for a chain that the call does not name', async (t) => {
  const { database, call } = await world(t);
  const body = (chain: string, seq: number) =>
    Buffer.from(
      JSON.stringify({
        v: 1,
        chain,
        seq,
        id: randomUUID(),
        eventType: 'agent.stopped',
        ts: NOW,
        actor: { id: 'x', kind: 'human' },
        payload: {},
        prevHash: seq.toString().repeat(64),
        signerId: null,
      }),
    );
  const append = (chains: string[], bodies: Buffer[]) =>
    call(
      'audit_append',
      chains,
      chains.map(() => 0),
      chains.map(() => 1),
      chains.map(() => 1),
      Buffer.concat(bodies),
      bodies.map(({ length }) => length),
      bodies.map(() => null),
      null,
      chains.map(() => NOW),
      chains.map(() => Buffer.alloc(8)),
      null,
    );
  const stored = async () => (await database.query('SELECT chain, seq::int FROM audit_events ORDER BY 1')).rows;

  await t.rejects(append(['a'], [body('b', 1)]), { code: 'CA002' }, 'a body of another chain');
  await t.rejects(
    append(['a', 'b'], [body('a', 1), body('a', 2)]),
    { code: '23502', table: 'audit_heads' },
    'one chain goes without',
  );
  await t.rejects(append(['a'], [body('a', 2)]), { code: '23502', table: 'audit_heads' }, 'not the next position');
  await t.rejects(
    append(['a', 'nobody'], [body('a', 1), body('nobody', 1)]),
    { code: 'CA002' },
    'a chain without head',
  );
  t.strictSame(await stored(), []);
  await append(['b', 'a'], [body('b', 1), body('a', 1)]);
  t.strictSame(await stored(), [
    { chain: 'a', seq: 1 },
    { chain: 'b', seq: 1 },
  ]);
  const { rows } = await database.query(
    `SELECT h.chain FROM audit_heads h JOIN audit_events e USING (chain, seq, hash)`,
  );
  t.equal(rows.length, 2, 'each head is the hash of its newest event');
});

t.test('audit_open locks and returns the chains it is given, in that order', async (t) => {
  const { call } = await world(t);
  t.match(await call('audit_open', ['b', 'a', 'nobody'], true), [{ chain: 'b' }, { chain: 'a' }]);
  t.strictSame((await call('audit_open', ['a'], false)).length, 1);
});

t.test(
  'personal values are kept where they are said to be, and erased in the workspace of the transaction alone',
  async (t) => {
    const { database, call, query } = await world(t);
    const keep = (chains: string[]) =>
      call(
        'audit_keep_personal',
        chains,
        chains.map(() => 1),
        chains.map(() => 'reason'),
        chains.map((chain) => `text of ${chain}`),
        chains.map(() => Buffer.alloc(32)),
        chains.map(() => 'ann'),
      );
    await keep(['a', 'b']);
    await t.rejects(keep(['b']), { code: '23505' }, 'never over another');
    const kept = async () => (await database.query('SELECT chain FROM audit_personal ORDER BY 1')).rows;
    t.strictSame(await call('audit_erase_personal', 'ann', [1], 10), [{ erased: '0' }], 'without a workspace');
    await call('set_config', 'castellan.workspace', 'b', false);
    t.strictSame(await call('audit_erase_personal', 'ann', [], 10), [{ erased: '1' }]);
    t.strictSame(await kept(), [{ chain: 'a' }]);
    await call('set_config', 'castellan.workspace', 'a', false);
    t.strictSame(await call('audit_erase_personal', null, [2], 10), [{ erased: '0' }]);
    t.strictSame(await call('audit_erase_personal', 'bob', [], 10), [{ erased: '0' }]);
    for (const statement of [
      'DELETE FROM audit_personal',
      `UPDATE audit_personal SET value = 'x'`,
      `INSERT INTO audit_personal VALUES ('a', 9, 'reason', 'x', ''::bytea, 'ann')`,
    ]) {
      await t.rejects(query(statement), { code: '42501' }, statement);
    }
    t.strictSame(await query('SELECT chain, value FROM audit_personal'), [{ chain: 'a', value: 'text of a' }]);
    await call('set_config', 'castellan.workspace', 'b', false);
    t.strictSame(await query('SELECT chain, value FROM audit_personal'), []);
  },
);
