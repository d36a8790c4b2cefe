import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import t from 'tap';

import { testDatabase } from '../support/database.ts';
import fc from '../support/fast-check.ts';
import { event, type Row, type Step } from './support/history.ts';
import { runExport, verifyHere } from './support/run.ts';
import { audit, logOver, store, treeBytes } from './support/world.ts';

const RUNS = 2;
const CHAIN = 'one';

const database = await testDatabase(t);
const url = database.superuserUrl;
const client = new pg.Client({ connectionString: url });
await client.connect();
t.teardown(() => client.end());

interface Approval {
  readonly seq: number;
  readonly to: number;
}

/** A chain with one or two approvals, behind checkpoints, and what was removed as they say. */
interface Scene {
  readonly rows: Row[];
  readonly rounds: readonly ReadonlyMap<string, number>[];
  readonly approvals: readonly [Approval, ...Approval[]];
  /** Events up to here are gone, but for `kept`. */
  readonly gone: number;
  readonly kept: number | undefined;
}

/** How the first approval is written, if otherwise than it should be. */
type Otherwise = (payload: { to: number; hash: string; tree: string }, rows: readonly Row[]) => Partial<Step>;

const shape = fc.record({
  first: fc.integer({ min: 4, max: 12 }),
  between: fc.integer({ min: 2, max: 5 }),
  after: fc.integer({ min: 1, max: 5 }),
  to: fc.nat(),
  second: fc.boolean(),
  share: fc.nat(),
  keep: fc.boolean(),
});
type Shape = typeof shape extends fc.Arbitrary<infer S> ? S : never;

function sceneOf({ first, between, after, to, second, share, keep }: Shape, otherwise?: Otherwise): Scene {
  const rows: Row[] = [];
  const rounds: Map<string, number>[] = [];
  const add = (step: Partial<Step> = {}) => rows.push(event(CHAIN, rows, { signer: audit, ...step }));
  const grow = (count: number) => {
    for (let n = 0; n < count; n += 1) {
      // Among them a brake that was pulled without the signer.
      if (n === 1) {
        add({ signer: null, type: 'agent.stopped' });
        add({ type: 'audit.deferred.covered', payload: { from: rows.length, to: rows.length } });
      } else add();
    }
    rounds.push(new Map([[CHAIN, rows.length]]));
  };
  const approve = (upTo: number, by?: Otherwise): Approval => {
    const { hash = '' } = rows[upTo - 1] ?? {};
    const payload = {
      to: upTo,
      hash,
      tree: treeBytes(rows.slice(0, upTo)).toString('base64'),
      logSize: 1,
      reason: 'old',
    };
    add({ type: 'audit.pruned', payload, ...by?.(payload, rows) });
    return { seq: rows.length, to: upTo };
  };
  grow(first);
  const upTo = 2 + (to % (first - 2));
  const one = approve(upTo, otherwise);
  if (rows.at(-1)?.signerId === null) add({ type: 'audit.deferred.covered', payload: { from: one.seq, to: one.seq } });
  grow(between);
  const approvals: [Approval, ...Approval[]] = [one];
  // The first approval itself may be among what the second one approves.
  if (second && otherwise === undefined) approvals.push(approve(Math.min(one.to + 1 + (share % between), one.seq - 1)));
  grow(after);
  const furthest = approvals.at(-1)?.to ?? 0;
  const gone = otherwise === undefined && share % 3 === 0 ? 1 + (share % furthest) : furthest;
  return { rows, rounds, approvals, gone, kept: keep && gone > 3 && otherwise === undefined ? 3 : undefined };
}

async function put({ rows, rounds, approvals, gone, kept }: Scene): Promise<void> {
  const chains = new Map([[CHAIN, rows]]);
  await store(client, { chains, ...logOver(chains, rounds) });
  await client.query('DELETE FROM audit_prunings; DELETE FROM audit_tiles');
  for (const { seq, to } of approvals) {
    const leaves = rows.slice(0, to).map(({ body }) => createHash('sha256').update(Buffer.of(0)).update(body).digest());
    await client.query('INSERT INTO audit_prunings VALUES ($1, $2, $3, $4, $5, $6, 1, now())', [
      CHAIN,
      to,
      seq,
      rows[to - 1]?.hash,
      treeBytes(rows.slice(0, to)),
      Buffer.concat(leaves),
    ]);
  }
  await client.query('DELETE FROM audit_events WHERE seq <= $1 AND seq <> $2', [gone, kept ?? 0]);
}

/** Class and seq of all that is found, in order; `seq class`. */
async function found(argv: readonly string[]): Promise<{ verdict: string; findings: string[] }> {
  const { verdict, report } = await verifyHere([...argv]);
  return { verdict, findings: report.findings.map(({ seq, class: name }) => `${seq} ${name}`).sort() };
}

const notice = ({ approvals, gone }: Scene) => `${approvals.find(({ to }) => to >= gone)?.to} pruned`;

t.test('what was removed as approved is said, in a database, in lines and in tiles', async (t) => {
  const dir = t.testdir();
  let run = 0;
  await fc.assert(
    fc.asyncProperty(shape, async (shaped) => {
      run += 1;
      const scene = sceneOf(shaped);
      await put(scene);
      const [tiles, lines, note] = ['tiles', 'lines', 'note'].map((name) => join(dir, `${name}-${run}`));
      if (tiles === undefined || lines === undefined || note === undefined) throw new Error('no paths');
      t.equal((await runExport(['--database-url', url, '--format', 'tiles', '--out', tiles])).code, 0);
      t.equal((await runExport(['--database-url', url, '--out', lines])).code, 0);
      writeFileSync(note, (await client.query('SELECT note FROM audit_checkpoints ORDER BY size DESC')).rows[0].note);
      for (const source of [
        ['--database-url', url],
        ['--export', lines, '--signers', join(tiles, 'signers.json'), '--log', tiles],
        ['--tiles', tiles],
      ]) {
        const expected = { verdict: 'ok', findings: [notice(scene)] };
        t.strictSame(await found([...source, '--checkpoint', note]), expected, JSON.stringify({ shaped, source }));
      }
    }),
    { numRuns: RUNS * 2 },
  );
});

interface Damage {
  readonly otherwise?: Otherwise;
  readonly apply?: (scene: Scene, approval: Approval) => Promise<unknown>;
  readonly expected: (approval: Approval, scene: Scene) => string[];
}

const update = (set: string, seq: number, ...values: unknown[]) =>
  client.query(`UPDATE audit_events SET ${set} WHERE seq = $1`, [seq, ...values]);

const DAMAGES: Record<string, Damage> = {
  'one event more than was approved': {
    apply: (_scene, { to }) => client.query('DELETE FROM audit_events WHERE seq = $1', [to + 1]),
    expected: ({ to }) => [`${to} pruned`, `${to + 1} gap`],
  },
  'an approval whose signature is another': {
    apply: (_scene, { seq }) => update('signature = $2', seq, Buffer.alloc(64, 7).toString('base64')),
    expected: ({ seq }) => ['1 gap', `${seq} signature-wrong`],
  },
  'an approval without a signature, and covered': {
    otherwise: () => ({ signer: null }),
    expected: ({ seq }) => ['1 gap', `${seq} signature-missing`],
  },
  'an approval that was edited': {
    apply: ({ rows }, { seq, to }) => {
      const body = rows[seq - 1]?.body.toString('utf8').replace(`"to":${to}`, `"to":${to - 1}`);
      return update('body = $2', seq, Buffer.from(body ?? ''));
    },
    expected: ({ seq }) => ['1 gap', `${seq} body-edited`],
  },
  'an approval that is gone': {
    apply: (_scene, { seq }) => client.query('DELETE FROM audit_events WHERE seq = $1', [seq]),
    expected: ({ seq }) => ['1 gap', `${seq} gap`],
  },
  'an approval for less': {
    otherwise: ({ to }, rows) => ({
      payload: {
        to: to - 1,
        hash: rows[to - 2]?.hash,
        tree: treeBytes(rows.slice(0, to - 1)).toString('base64'),
        logSize: 1,
        reason: 'old',
      },
    }),
    expected: ({ to }) => [`${to - 1} pruned`, `${to} gap`],
  },
  'an approval of other events': {
    otherwise: (payload) => ({ payload: { ...payload, hash: 'ab'.repeat(32) } }),
    expected: ({ to, seq }) => [`${to} pruned`, `${seq} forked`],
  },
  'an approval with another tree': {
    otherwise: (payload, rows) => {
      const others = rows.slice(0, payload.to).reverse();
      return { payload: { ...payload, tree: treeBytes(others).toString('base64') } };
    },
    expected: ({ to }) => ['1 history-rewritten', `${to} pruned`],
  },
  'an approval with a tree of another size': {
    otherwise: (payload, rows) => ({
      payload: { ...payload, tree: treeBytes(rows.slice(0, payload.to - 1)).toString('base64') },
    }),
    expected: () => ['1 gap'],
  },
  'an approval whose column was edited': {
    apply: (_scene, { seq }) => update(`event_type = 'agent.created'`, seq),
    expected: ({ to, seq }) => [`${to} pruned`, `${seq} projection-edited`],
  },
};

for (const [name, { otherwise, apply, expected }] of Object.entries(DAMAGES)) {
  t.test(`named: ${name}`, async (t) => {
    await fc.assert(
      fc.asyncProperty(shape, async (shaped) => {
        const scene = sceneOf({ ...shaped, second: false, share: 1, keep: false }, otherwise);
        await put(scene);
        const [approval] = scene.approvals;
        await apply?.(scene, approval);
        const { verdict, findings } = await found(['--database-url', url]);
        t.strictSame(
          { verdict, findings },
          { verdict: 'tampered', findings: expected(approval, scene).sort() },
          JSON.stringify(shaped),
        );
      }),
      { numRuns: RUNS },
    );
  });
}
