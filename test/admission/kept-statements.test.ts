import t from 'tap';

import { createSharedProofs } from '../../src/admission/shared-proofs.ts';
import { createVerifiedEnvelopes } from '../../src/admission/verified-envelopes.ts';
import type { Digest } from '../../src/crypto/digest.ts';
import { issueProof } from '../../src/proofs/build.ts';
import { proofDigest } from '../../src/proofs/envelope.ts';
import { openSharedProof } from '../../src/proofs/shared-proof.ts';
import { buildSharedStatement } from '../../src/proofs/shared-statement.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { COMMON, ownFacts } from '../proofs/shared.ts';
import { AGENT, OTHER_AGENT, signerPair } from '../proofs/support.ts';
import { testDatabase, testStorage } from '../support/database.ts';

const { signer, key } = signerPair('proof-1');

/** A statement of its own for each promoter. */
function statement(promoter: string) {
  const agents = [AGENT, OTHER_AGENT].map((id) => ownFacts(id, { promoter: { id: promoter, roles: [] } }));
  return issueProof(buildSharedStatement(COMMON, agents), signer, key);
}

t.test('what is kept is read once, however many ask', async (t) => {
  const database = await testDatabase(t);
  const storage = testStorage(t, database);
  let calls = 0;
  const counted: Pick<Storage, 'call'> = {
    call: (routine, values) => {
      calls += 1;
      return storage.call(routine, values);
    },
  };
  const stored: Digest[] = [];
  for (const promoter of ['ada', 'bob', 'eve']) {
    const envelope = await statement(promoter);
    stored.push(proofDigest(envelope));
    await database.query("INSERT INTO proof_statements VALUES ('demo', $1, $2, now())", [
      proofDigest(envelope),
      JSON.stringify(envelope),
    ]);
  }
  const [first, second, third] = stored;
  if (first === undefined || second === undefined || third === undefined) throw new Error('three were stored');
  const weight = openSharedProof(await statement('ada')).weight;
  const proofs = createSharedProofs(counted, 2 * weight + 100);

  const many = await Promise.all(Array.from({ length: 50 }, () => proofs.read('demo', first)));
  t.equal(calls, 1, 'all at once');
  t.equal(new Set(many.map((one) => (one.readable ? one.proof : one))).size, 1, 'and share what was read');
  await Promise.all([proofs.read('demo', second), proofs.read('other', first)]);
  t.equal(calls, 2, 'different ones of different workspaces in one statement');
  t.match(await proofs.read('other', first), { readable: false, problem: /not there/ }, 'each its own');
  t.equal(calls, 3, 'what is not there is never kept');

  await proofs.read('demo', first);
  await proofs.read('demo', second);
  t.equal(calls, 3, 'both are kept');
  await proofs.read('demo', third);
  await proofs.read('demo', second);
  t.equal(calls, 4, 'the third takes the place of the least recently used');
  await proofs.read('demo', first);
  t.equal(calls, 5);

  const readings = await storage.read('demo', (trx) => proofs.readMany(trx, 'demo', [first, first, third, second]));
  t.same([...readings].filter(([, one]) => one.readable).length, 3, 'more than are kept, in one statement');
  t.equal(calls, 5);

  proofs.forget('demo', second);
  await proofs.read('demo', second);
  t.equal(calls, 6, 'read anew');
});

t.test(
  'a signature is verified once for all agents of a statement, for its key, and never when it is wrong',
  async (t) => {
    const envelope = await statement('ada');
    let made = 0;
    const counted = (value: unknown) => {
      const proof = openSharedProof(value);
      return {
        ...proof,
        envelope: () => {
          made += 1;
          return proof.envelope();
        },
      };
    };
    const { verify } = createVerifiedEnvelopes();
    const proof = counted(envelope);
    t.same(new Set(await Promise.all([verify(proof, key), verify(proof, key), verify(proof, key)])), new Set([true]));
    t.equal(await verify(proof, key), true);
    t.equal(made, 1);
    t.equal(await verify(proof, signerPair('proof-1').key), false, 'another key');
    const forged = counted({
      ...envelope,
      signatures: [{ keyid: 'proof-1', sig: Buffer.alloc(64).toString('base64') }],
    });
    made = 0;
    t.equal(await verify(forged, key), false);
    t.equal(await verify(forged, key), false);
    t.equal(made, 2, 'looked at each time');
  },
);
