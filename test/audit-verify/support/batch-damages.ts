import { randomBytes } from 'node:crypto';

import { signedAgain, signedTogether } from './batches.ts';
import { type Damage, remove, replace, rowAt, update } from './damages.ts';
import { signHash } from './keys.ts';

/** Two events of one transaction, with others of other chains, wherever the damage is. */
const together: NonNullable<Damage['steps']> = (steps, { at, cast }) => {
  for (const index of [at - 1, at]) {
    steps[index] = { ...steps[index], signer: cast.ed, tx: -1, others: 3 };
  }
};

/** The switch to batch is where the damage is. */
const switching: NonNullable<Damage['steps']> = (steps, { at, cast }) => {
  for (const [index, { signer, at: ms }] of steps.entries()) {
    const time = ms === undefined ? {} : { at: ms };
    steps[index] = { signer: signer ?? cast.ed, mode: index < at - 1 ? 'event' : 'batch', ...time };
  }
  const payload = { from: 'event', to: 'batch' };
  steps[at - 1] = { signer: cast.ed, mode: 'batch', type: 'audit.signmode.switched', payload };
};

/** What is done to the place of an event in its batch, and to a signature that is of the other mode. */
export const BATCH_DAMAGES: readonly Damage[] = [
  {
    name: 'signature-wrong (path in the batch)',
    why: 'the way to the signed root is edited, cut, made longer or removed',
    verdict: 'tampered',
    batch: true,
    steps: together,
    async apply({ client, chain, rows, at, pick }) {
      const path = rowAt(rows, at).batch?.path ?? Buffer.alloc(0);
      const flipped = Buffer.from(path);
      flipped.writeUInt8(flipped.readUInt8(pick % path.length) ^ 1, pick % path.length);
      const paths = [flipped, path.subarray(32), path.subarray(1), Buffer.concat([path, randomBytes(32)]), null];
      await update(client, chain, at, 'batch_path = $3', [paths[pick % paths.length]]);
      return [{ class: 'signature-wrong', seq: at }];
    },
  },
  {
    name: 'signature-wrong (index in the batch)',
    why: 'the event is said to stand elsewhere under the signed root',
    verdict: 'tampered',
    batch: true,
    steps: together,
    async apply({ client, chain, rows, at, pick }) {
      const { index = 0, size = 1 } = rowAt(rows, at).batch ?? {};
      const indexes = [(index + 1 + (pick % (size - 1))) % size, -1, size, null];
      await update(client, chain, at, 'batch_index = $3', [indexes[pick % indexes.length]]);
      return [{ class: 'signature-wrong', seq: at }];
    },
  },
  {
    name: 'signature-wrong (size of the batch)',
    why: 'the tree is said to be of another height',
    verdict: 'tampered',
    batch: true,
    steps: together,
    async apply({ client, chain, rows, at, pick }) {
      const { index = 0, size = 1 } = rowAt(rows, at).batch ?? {};
      const sizes = [2 * size, 0, -size, index, 2_147_483_647, null];
      await update(client, chain, at, 'batch_size = $3', [sizes[pick % sizes.length]]);
      return [{ class: 'signature-wrong', seq: at }];
    },
  },
  {
    name: 'signature-wrong (paths exchanged)',
    why: 'two events of one batch exchange their places in it',
    verdict: 'tampered',
    batch: true,
    steps: together,
    async apply({ client, chain, rows, at }) {
      const [one, other] = [rowAt(rows, at).batch, rowAt(rows, at + 1).batch];
      const place = 'batch_index = $3, batch_path = $4';
      await update(client, chain, at, place, [other?.index, other?.path]);
      await update(client, chain, at + 1, place, [one?.index, one?.path]);
      return [
        { class: 'signature-wrong', seq: at },
        { class: 'signature-wrong', seq: at + 1 },
      ];
    },
  },
  {
    name: 'signature-wrong (of another batch)',
    why: 'the signature of another transaction is put in its place',
    verdict: 'tampered',
    batch: true,
    steps(steps, { at, cast }) {
      steps[at - 1] = { ...steps[at - 1], signer: cast.ed, tx: -1 };
      steps[at] = { ...steps[at], signer: cast.ed, tx: -2 };
    },
    async apply({ client, chain, rows, at }) {
      await update(client, chain, at, 'signature = $3', [rowAt(rows, at + 1).signature]);
      return [{ class: 'signature-wrong', seq: at }];
    },
  },
  {
    name: "signature-wrong (an event's in a batch)",
    why: 'a signature over the event itself is none over the root, whoever made it',
    verdict: 'tampered',
    batch: true,
    steps: together,
    async apply({ client, cast, chain, rows, at }) {
      await update(client, chain, at, 'signature = $3', [signHash(cast.ed.privateKey, rowAt(rows, at).hash)]);
      return [{ class: 'signature-wrong', seq: at }];
    },
  },
  {
    name: "signature-wrong (a batch's in an event)",
    why: 'a signature over the root is none over the event, even where the batch has no other',
    verdict: 'tampered',
    batch: true,
    steps(steps, { at, cast, pick }) {
      steps[at - 1] = { ...steps[at - 1], signer: cast.ed, tx: -1, others: pick % 2 };
    },
    async apply({ client, chain, at }) {
      const bare = 'batch_index = NULL, batch_size = NULL, batch_path = NULL';
      await update(client, chain, at, `sign_mode = 'event', ${bare}`);
      return [{ class: 'signature-wrong', seq: at }];
    },
  },
  {
    name: 'signature-wrong (passed off as the other mode)',
    why: 'only the mode beside the signature is changed',
    verdict: 'tampered',
    async apply({ client, chain, rows, at }) {
      const { batch } = rowAt(rows, at);
      await update(client, chain, at, 'sign_mode = $3', [batch === undefined ? 'batch' : 'event']);
      // What is left of the place in the batch belongs to no event of mode event.
      const left = batch === undefined ? [] : [{ class: 'projection-edited', seq: at }];
      return [{ class: 'signature-wrong', seq: at }, ...left];
    },
  },
  {
    name: 'gap (the switch to another mode)',
    why: 'what is missing is named, and not the mode of all that comes after it',
    verdict: 'tampered',
    steps: switching,
    async apply({ client, chain, at }) {
      await remove(client, chain, at, at);
      return [{ class: 'gap', seq: at }];
    },
  },
  {
    name: 'body-edited (the switch to another mode)',
    why: 'likewise where the switch is there, and cannot be read any more',
    verdict: 'tampered',
    steps: switching,
    async apply({ client, chain, at }) {
      await update(client, chain, at, 'body = $3', [randomBytes(40)]);
      return [{ class: 'body-edited', seq: at }];
    },
  },
  {
    name: 'projection-edited (a place in a batch)',
    why: 'an event with a signature of its own is given a place in a batch',
    verdict: 'tampered',
    async apply({ client, chain, rows, at }) {
      const { batch } = rowAt(rows, at);
      await update(client, chain, at, "sign_mode = 'event', batch_index = 0, batch_size = 1, batch_path = ''");
      const wrong = batch === undefined ? [] : [{ class: 'signature-wrong', seq: at }];
      return [...wrong, { class: 'projection-edited', seq: at }];
    },
  },
  {
    name: 'projection-edited (a mode that no event switched to)',
    why: 'who holds the key signs in a mode that is not that of the chain',
    verdict: 'tampered',
    async apply({ client, cast, rows, at }) {
      const row = rowAt(rows, at);
      const signer = [cast.ed2, cast.ec, cast.rsa].find(({ signerId }) => signerId === row.signerId) ?? cast.ed;
      const [batch = row] = signedTogether([row], signer);
      const alone = signedAgain({ ...row, batch: undefined, signMode: 'event' }, signer);
      await replace(client, row, row.batch === undefined ? batch : alone);
      // And back.
      return [at, at + 1].map((seq) => ({ class: 'projection-edited', seq }));
    },
  },
];
