import { randomBytes } from 'node:crypto';

import type { Client } from 'pg';

import { signatureBy, signedAgain } from './batches.ts';
import { canonicalBody, EPOCH, event, history, insertRows, type Row, type Step, setHead, sha256 } from './history.ts';
import type { TestSigner } from './keys.ts';

export interface Cast {
  /** Registered audit signers: two Ed25519, one P-256, one RSA. */
  ed: TestSigner;
  ed2: TestSigner;
  ec: TestSigner;
  rsa: TestSigner;
  /** Registered with a limit; see the test. */
  ended: TestSigner;
  revoked: TestSigner;
  compromised: TestSigner;
  pending: TestSigner;
  proof: TestSigner;
  /** In no registry. */
  stranger: TestSigner;
}

interface Scene {
  client: Client;
  cast: Cast;
  chain: string;
  rows: Row[];
  /** A position that is neither the first nor the last. */
  at: number;
  /** Free choice for the damage. */
  pick: number;
}

interface Expected {
  class: string;
  seq: number;
}

export interface Damage {
  /** What an attacker or a fault does; the verifier has to give it this name. */
  name: string;
  why: string;
  verdict: 'tampered' | 'incomplete';
  /** Only of histories that are signed in batches throughout. */
  batch?: true;
  /** Changes the steps before the honest history is written. */
  steps?(steps: Step[], scene: Pick<Scene, 'cast' | 'at' | 'pick'>): void;
  /** Changes what is stored; returns what must be found. */
  apply(scene: Scene): Promise<Expected[]>;
}

export const update = (client: Client, chain: string, seq: number, set: string, values: unknown[] = []) =>
  client.query(`UPDATE audit_events SET ${set} WHERE chain = $1 AND seq = $2`, [chain, seq, ...values]);

export const remove = (client: Client, chain: string, from: number, to: number) =>
  client.query('DELETE FROM audit_events WHERE chain = $1 AND seq BETWEEN $2 AND $3', [chain, from, to]);

export function rowAt(rows: readonly Row[], seq: number): Row {
  const row = rows[seq - 1];
  if (row === undefined) throw new Error(`no row ${seq}`);
  return row;
}

function lastOf(rows: readonly Row[]): Row {
  return rowAt(rows, rows.length);
}

/** What who holds a key puts in the place of a row. */
function instead({ ed }: Cast, { batch }: Row): Step {
  return { signer: ed, payload: { other: true }, mode: batch === undefined ? 'event' : 'batch' };
}

/** The row with another body, rehashed; the signature stays. */
function rewritten(row: Row, members: object): Row {
  const body = canonicalBody({ ...JSON.parse(row.body.toString('utf8')), ...members });
  return { ...row, body, hash: sha256(body) };
}

export async function replace(client: Client, at: Row, by: Row): Promise<void> {
  await remove(client, at.chain, at.seq, at.seq);
  await insertRows(client, [{ ...by, chain: at.chain, seq: at.seq }]);
}

const PROJECTIONS: readonly [set: string, value: unknown][] = [
  ['id = $3', '018f4d3e-0000-7000-8000-000000000000'],
  ['event_type = $3', 'agent.deleted'],
  ['ts = $3', new Date(EPOCH + 999_999).toISOString()],
  ['ts = ts + $3::interval', '1 microsecond'],
  ['actor_id = $3', 'someone-else'],
  ['actor_kind = $3', 'service'],
  ['payload = $3', '{"other":true}'],
  ['payload = payload || $3::jsonb', '{"more":1}'],
  ['prev_hash = $3', 'ab'.repeat(32)],
  ['signer_id = $3', 'nobody'],
];

export const DAMAGES: readonly Damage[] = [
  {
    name: 'body-edited',
    why: 'an attacker with database access changes what was decided',
    verdict: 'tampered',
    async apply({ client, chain, rows, at }) {
      const { body } = rewritten(rowAt(rows, at), { payload: { forged: true } });
      await update(client, chain, at, 'body = $3', [body]);
      return [{ class: 'body-edited', seq: at }];
    },
  },
  {
    name: 'body-edited (not JSON)',
    why: 'the body is overwritten with rubbish',
    verdict: 'tampered',
    async apply({ client, chain, at }) {
      await update(client, chain, at, 'body = $3', [randomBytes(40)]);
      return [{ class: 'body-edited', seq: at }];
    },
  },
  {
    name: 'body-edited (unsigned event rewritten)',
    why: 'a deferred event has no signature; the next event binds its hash',
    verdict: 'tampered',
    steps(steps, { at }) {
      const signer = steps[at - 1]?.signer ?? null;
      steps[at - 1] = { ...steps[at - 1], signer: null, type: 'agent.stopped' };
      steps[at] = { ...steps[at], signer, type: 'audit.deferred.covered', payload: { from: at, to: at } };
    },
    async apply({ client, rows, at }) {
      const row = rowAt(rows, at);
      const payload = { forged: true };
      await replace(client, row, { ...rewritten(row, { payload }), payload });
      return [{ class: 'body-edited', seq: at }];
    },
  },
  {
    name: 'hash-edited',
    why: 'only the hash column is changed',
    verdict: 'tampered',
    async apply({ client, chain, at }) {
      await update(client, chain, at, 'hash = $3', [randomBytes(32).toString('hex')]);
      return [{ class: 'hash-edited', seq: at }];
    },
  },
  {
    name: 'projection-edited',
    why: 'a query column is changed so that readers of the table see something else',
    verdict: 'tampered',
    async apply({ client, chain, at, pick }) {
      const [set, value] = PROJECTIONS[pick % PROJECTIONS.length] ?? ['actor_id = $3', 'x'];
      await update(client, chain, at, set, [value]);
      return [{ class: 'projection-edited', seq: at }];
    },
  },
  {
    name: 'projection-edited (seq)',
    why: 'the last row is moved to a later seq',
    verdict: 'tampered',
    async apply({ client, chain, rows }) {
      const { seq } = lastOf(rows);
      await update(client, chain, seq, 'seq = $3', [seq + 2]);
      return [{ class: 'projection-edited', seq: seq + 2 }];
    },
  },
  {
    name: 'projection-edited (digits that JavaScript rounds away)',
    why: 'jsonb keeps digits that a double does not',
    verdict: 'tampered',
    steps(steps, { at }) {
      steps[at - 1] = { signer: null, ...steps[at - 1], payload: { amount: 0.1 } };
    },
    async apply({ client, chain, at }) {
      await update(client, chain, at, 'payload = $3', ['{"amount":0.10000000000000000001}']);
      return [{ class: 'projection-edited', seq: at }];
    },
  },
  {
    name: 'gap',
    why: 'events are deleted from the middle; the first missing seq is named',
    verdict: 'tampered',
    async apply({ client, chain, rows, at, pick }) {
      await remove(client, chain, at, at + (pick % (rows.length - at)));
      return [{ class: 'gap', seq: at }];
    },
  },
  {
    name: 'gap (renumbered)',
    why: 'an event is deleted and the later rows are moved up to hide it',
    verdict: 'tampered',
    async apply({ client, chain, rows, at }) {
      await remove(client, chain, at, at);
      await client.query('UPDATE audit_events SET seq = seq - 1 WHERE chain = $1 AND seq > $2', [chain, at]);
      const moved = rows.slice(at).map(({ seq }) => ({ class: 'projection-edited', seq: seq - 1 }));
      return [{ class: 'gap', seq: at }, ...moved];
    },
  },
  {
    name: 'reordered',
    why: 'two events exchange their places',
    verdict: 'tampered',
    async apply({ client, chain, rows, at, pick }) {
      const other = at + 1 + (pick % (rows.length - at));
      await client.query('UPDATE audit_events SET seq = $2 + $3 - seq WHERE chain = $1 AND seq IN ($2, $3)', [
        chain,
        at,
        other,
      ]);
      return [
        { class: 'reordered', seq: at },
        { class: 'reordered', seq: other },
      ];
    },
  },
  {
    name: 'spliced',
    why: 'a validly signed event of another chain takes the place of one',
    verdict: 'tampered',
    async apply({ client, cast, rows, at }) {
      const other = history(
        'elsewhere',
        Array.from({ length: at }, () => instead(cast, rowAt(rows, at))),
      );
      await replace(client, rowAt(rows, at), lastOf(other));
      return [{ class: 'spliced', seq: at }];
    },
  },
  {
    name: 'spliced (inserted)',
    why: 'an event of another chain is put in between, beside the true one',
    verdict: 'tampered',
    async apply({ client, cast, chain, rows, at }) {
      const other = history(
        'elsewhere',
        Array.from({ length: at }, () => instead(cast, rowAt(rows, at))),
      );
      await insertRows(client, [{ ...lastOf(other), chain, seq: at }]);
      return [{ class: 'spliced', seq: at }];
    },
  },
  {
    name: 'replayed',
    why: 'an event is appended once more at the end, and the head moved over it',
    verdict: 'tampered',
    async apply({ client, rows, at }) {
      const copy = { ...rowAt(rows, at), seq: rows.length + 1 };
      await insertRows(client, [copy]);
      await setHead(client, copy);
      return [{ class: 'replayed', seq: copy.seq }];
    },
  },
  {
    name: 'replayed (same seq)',
    why: 'a row stands twice, as a restored partition would leave it',
    verdict: 'tampered',
    async apply({ client, rows, at }) {
      await insertRows(client, [rowAt(rows, at)]);
      return [{ class: 'replayed', seq: at }];
    },
  },
  {
    name: 'forked',
    why: 'who holds the key replaces an event by another signed one; the next one still follows the first',
    verdict: 'tampered',
    async apply({ client, cast, chain, rows, at }) {
      const other = event(chain, rows.slice(0, at - 1), instead(cast, rowAt(rows, at)));
      await replace(client, rowAt(rows, at), other);
      return [{ class: 'forked', seq: at + 1 }];
    },
  },
  {
    name: 'forked (two at one seq)',
    why: 'two replicas wrote after the same event, the constraints gone',
    verdict: 'tampered',
    async apply({ client, cast, chain, rows, at }) {
      await insertRows(client, [event(chain, rows.slice(0, at - 1), instead(cast, rowAt(rows, at)))]);
      return [{ class: 'forked', seq: at }];
    },
  },
  {
    name: 'signature-missing',
    why: 'the signature is removed',
    verdict: 'tampered',
    async apply({ client, chain, at, pick }) {
      await update(client, chain, at, pick % 2 === 0 ? 'signature = NULL' : `signature = ''`);
      return [{ class: 'signature-missing', seq: at }];
    },
  },
  {
    name: 'signature-missing (passed off as deferred)',
    why: 'the row is made to look like an unsigned brake event',
    verdict: 'tampered',
    async apply({ client, chain, at }) {
      await update(client, chain, at, `signature = NULL, signer_id = NULL, sign_mode = 'deferred'`);
      return [
        { class: 'signature-missing', seq: at },
        { class: 'projection-edited', seq: at },
      ];
    },
  },
  {
    name: 'signature-missing (forged as deferred, and covered)',
    why: 'an unsigned approval is put at the end of the log and the service is left to sign over it',
    verdict: 'tampered',
    steps(steps, { at }) {
      const signer = steps[at - 1]?.signer ?? null;
      steps[at - 1] = { ...steps[at - 1], signer: null, type: 'promotion.approved' };
      steps[at] = { ...steps[at], signer, type: 'audit.deferred.covered', payload: { from: at, to: at } };
    },
    apply: async ({ at }) => [{ class: 'signature-missing', seq: at }],
  },
  {
    name: 'signature-missing (unsigned cover)',
    why: 'who can write rows writes the cover as well',
    verdict: 'tampered',
    steps(steps, { at }) {
      steps[at - 1] = { ...steps[at - 1], signer: null, type: 'agent.stopped' };
      steps[at] = { ...steps[at], signer: null, type: 'audit.deferred.covered', payload: { from: at, to: at } };
    },
    apply: async ({ at }) => [
      { class: 'deferred-uncovered', seq: at },
      { class: 'signature-missing', seq: at + 1 },
    ],
  },
  {
    name: 'forked (cover of signed events)',
    why: 'the head is edited so that the service signs for more than its unsigned events',
    verdict: 'tampered',
    steps(steps, { at }) {
      const signer = steps[at - 1]?.signer ?? null;
      steps[at - 1] = { ...steps[at - 1], signer: null, type: 'agent.stopped' };
      steps[at] = { ...steps[at], signer, type: 'audit.deferred.covered', payload: { from: at - 1, to: at } };
    },
    apply: async ({ at }) => [
      { class: 'deferred-uncovered', seq: at },
      { class: 'forked', seq: at + 1 },
    ],
  },
  {
    name: 'forked (cover of nothing)',
    why: 'the head is edited so that the service signs for an event as unsigned that is signed',
    verdict: 'tampered',
    steps(steps, { at }) {
      const signer = steps[at]?.signer ?? null;
      steps[at] = { ...steps[at], signer, type: 'audit.deferred.covered', payload: { from: at, to: at } };
    },
    apply: async ({ at }) => [{ class: 'forked', seq: at + 1 }],
  },
  {
    name: 'signature-wrong',
    why: 'body and hash are rewritten to fit each other, without the key',
    verdict: 'tampered',
    async apply({ client, rows, at }) {
      const row = rowAt(rows, at);
      const payload = { forged: true };
      await replace(client, row, { ...rewritten(row, { payload }), payload });
      return [{ class: 'signature-wrong', seq: at }];
    },
  },
  {
    name: 'signature-wrong (bit flipped)',
    why: 'storage rots',
    verdict: 'tampered',
    steps(steps, { cast, at }) {
      steps[at - 1] = { ...steps[at - 1], signer: cast.ed };
    },
    async apply({ client, chain, rows, at, pick }) {
      const bytes = Buffer.from(rowAt(rows, at).signature ?? '', 'base64');
      const index = pick % bytes.length;
      bytes[index] = (bytes[index] ?? 0) ^ 1;
      await update(client, chain, at, 'signature = $3', [bytes.toString('base64')]);
      return [{ class: 'signature-wrong', seq: at }];
    },
  },
  {
    name: 'signature-wrong-key',
    why: 'another registered key signed in the name of this one',
    verdict: 'tampered',
    steps(steps, { cast, at }) {
      steps[at - 1] = { ...steps[at - 1], signer: cast.ed };
    },
    async apply({ client, cast, chain, rows, at }) {
      await update(client, chain, at, 'signature = $3', [signatureBy(cast.ed2, rowAt(rows, at))]);
      return [{ class: 'signature-wrong-key', seq: at }];
    },
  },
  {
    name: 'signature-wrong-key (purpose)',
    why: 'a proof key must not vouch for the log',
    verdict: 'tampered',
    steps(steps, { cast, at }) {
      steps[at - 1] = { ...steps[at - 1], signer: cast.proof };
    },
    apply: async ({ at }) => [{ class: 'signature-wrong-key', seq: at }],
  },
  {
    name: 'signature-wrong-algorithm',
    why: 'the algorithm comes from the registry, so a signature of another kind proves nothing',
    verdict: 'tampered',
    steps(steps, { cast, at }) {
      steps[at - 1] = { ...steps[at - 1], signer: cast.ed };
    },
    async apply({ client, cast, chain, rows, at, pick }) {
      const row = rowAt(rows, at);
      const forms = [
        () => signatureBy(cast.ec, row),
        () => signatureBy(cast.rsa, row),
        () => randomBytes(32).toString('base64'),
      ];
      await update(client, chain, at, 'signature = $3', [(forms[pick % 3] ?? forms[2])?.()]);
      return [{ class: 'signature-wrong-algorithm', seq: at }];
    },
  },
  {
    name: 'signer-out-of-range',
    why: 'a signer beyond its dates, revoked before, or not active yet',
    verdict: 'tampered',
    steps(steps, { cast, at, pick }) {
      steps[at - 1] = { ...steps[at - 1], signer: [cast.ended, cast.revoked, cast.pending][pick % 3] ?? cast.ended };
    },
    apply: async ({ at }) => [{ class: 'signer-out-of-range', seq: at }],
  },
  {
    name: 'signer-out-of-range (unknown signer)',
    why: 'a signer that is in no registry was never allowed to sign; an exit 2 would let a forger add events',
    verdict: 'tampered',
    steps(steps, { cast, at }) {
      steps[at - 1] = { ...steps[at - 1], signer: cast.stranger };
    },
    apply: async ({ at }) => [{ class: 'signer-out-of-range', seq: at }],
  },
  {
    name: 'signer-compromised',
    why: 'what a stolen key signed after the theft',
    verdict: 'tampered',
    steps(steps, { cast, at }) {
      steps[at - 1] = { ...steps[at - 1], signer: cast.compromised };
    },
    apply: async ({ at }) => [{ class: 'signer-compromised', seq: at }],
  },
  {
    name: 'tail-truncated',
    why: 'the newest events are deleted; the head row remembers them',
    verdict: 'tampered',
    async apply({ client, chain, rows, at }) {
      await remove(client, chain, at, rows.length);
      return [{ class: 'tail-truncated', seq: at }];
    },
  },
  {
    name: 'tail-truncated (head moved back)',
    why: 'the head row is set back; events go on beyond it',
    verdict: 'tampered',
    async apply({ client, rows, at }) {
      await setHead(client, rowAt(rows, at));
      return [{ class: 'tail-truncated', seq: rows.length }];
    },
  },
  {
    name: 'tail-truncated (head hash)',
    why: 'the last event was replaced by another signed one',
    verdict: 'tampered',
    async apply({ client, cast, chain, rows }) {
      const other = event(chain, rows.slice(0, -1), instead(cast, lastOf(rows)));
      await replace(client, lastOf(rows), other);
      return [{ class: 'tail-truncated', seq: rows.length }];
    },
  },
  {
    name: 'chain-missing',
    why: 'all events of a workspace are deleted',
    verdict: 'tampered',
    async apply({ client, chain, rows, pick }) {
      await remove(client, chain, 1, rows.length);
      if (pick % 2 === 0) await client.query('DELETE FROM audit_heads WHERE chain = $1', [chain]);
      return [{ class: 'chain-missing', seq: 1 }];
    },
  },
  {
    name: 'chain-missing (head)',
    why: 'without its head row a chain can be cut unseen',
    verdict: 'tampered',
    async apply({ client, chain, rows }) {
      await client.query('DELETE FROM audit_heads WHERE chain = $1', [chain]);
      return [{ class: 'chain-missing', seq: rows.length }];
    },
  },
  {
    name: 'clock-regression',
    why: 'an event is dated back by more than clocks differ',
    verdict: 'tampered',
    steps(steps, { at }) {
      steps.forEach((step, index) => {
        step.at = index >= at - 1 ? index * 100 - 6000 : index * 100;
      });
    },
    apply: async ({ at }) => [{ class: 'clock-regression', seq: at }],
  },
  {
    name: 'non-canonical',
    why: 'a faulty writer signs bytes that another reader may read otherwise',
    verdict: 'tampered',
    async apply({ client, cast, chain, rows, at, pick }) {
      const row = rowAt(rows, at);
      const text = row.body.toString('utf8');
      const spelt = [
        text.replace(':', ': '),
        text.replace('{', '{"v":1,'),
        `\ufeff${text}`,
        text.replace('"v":1', '"v":2'),
      ];
      const body = Buffer.from(spelt[pick % spelt.length] ?? '', 'utf8');
      const hash = sha256(body);
      const signer = [cast.ed, cast.ec, cast.rsa].find(({ signerId }) => signerId === row.signerId) ?? cast.ed;
      await replace(client, row, signedAgain({ ...row, body, hash }, signer));
      await remove(client, chain, at + 1, rows.length);
      await setHead(client, { ...row, hash });
      return [{ class: 'non-canonical', seq: at }];
    },
  },
  {
    name: 'deferred-uncovered',
    why: 'a brake was pulled without the signer and nothing signed vouches for it yet: incomplete, not tampered',
    verdict: 'incomplete',
    steps(steps, { at }) {
      steps[at - 1] = { ...steps[at - 1], signer: null, type: 'agent.stopped' };
    },
    apply: async ({ at }) => [{ class: 'deferred-uncovered', seq: at }],
  },
];
