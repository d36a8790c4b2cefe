import t from 'tap';

import { createVerifiedEnvelopes } from '../../src/admission/verified-envelopes.ts';
import { verificationKey } from '../../src/crypto/verify.ts';
import { generateEd25519 } from '../../src/signers/drivers/local/ed25519.ts';
import { testService } from '../support/service.ts';

const SPEC = {
  name: 'reader',
  model: { provider: 'acme', name: 'm-1', temperature: 0.2 },
  instructions: 'Read what you are given.',
  capabilities: ['search'],
  budget: { monthlyUsd: 10 },
};

t.test('a remembered envelope counts in exactly its bytes and for its key', async (t) => {
  const { verify, remember } = createVerifiedEnvelopes();
  const key = () => verificationKey('Ed25519', generateEd25519().publicKeyPem);
  const [signer, other] = [key(), key()];
  // No signature at all: only the memory can let it pass.
  const envelope = { payloadType: 'p', payload: 'YQ==', signatures: [{ keyid: 'k', sig: 'AAAA' }] };
  t.equal(await verify(envelope, signer), false);
  remember(envelope, signer);
  t.equal(await verify(structuredClone(envelope), signer), true);
  t.equal(await verify(envelope, other), false, 'another key');
  t.equal(await verify({ ...envelope, payload: 'Yg==' }, signer), false, 'another payload');
  t.equal(await verify({ ...envelope, payloadType: 'q' }, signer), false, 'another type');
  t.equal(await verify({ ...envelope, signatures: [{ keyid: 'k', sig: 'AAAB' }] }, signer), false, 'another signature');
});

t.test('a proof that was just made is verified again once its row is another', async (t) => {
  const { call, database } = await testService(t);
  const created = await call('operator', 'POST', '/v1/workspaces/demo/agents', { spec: SPEC });
  const agent = `/v1/workspaces/demo/agents/${String(created.body.id)}`;
  t.match((await call('kernel-admin', 'POST', `${agent}/promote`)).body, { success: true });
  const edited = `UPDATE agent_proofs SET envelope = jsonb_set(envelope, '{signatures,0,sig}', to_jsonb($1::text))`;
  const [{ sig }] = (await database.query(`SELECT envelope #>> '{signatures,0,sig}' AS sig FROM agent_proofs`)).rows;
  await database.query(edited, [Buffer.alloc(64).toString('base64')]);
  const denied = await call('operator', 'POST', `${agent}/start`, {});
  t.match(denied.body, { code: 'ADMISSION_DENIED', denies: [{ code: 'SIGNATURE_INVALID' }] }, denied.text);
  await database.query(edited, [sig]);
  t.equal((await call('operator', 'POST', `${agent}/start`, {})).status, 200);
});
