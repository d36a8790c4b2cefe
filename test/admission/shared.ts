import { readProof } from '../../src/admission/proof-reading.ts';
import { createAdmissionService } from '../../src/admission/service.ts';
import type { DsseEnvelope } from '../../src/crypto/dsse.ts';
import { readHead } from '../../src/policy/head.ts';
import { renewMany } from '../../src/revalidation/renew-many.ts';
import { storeRenewals } from '../../src/revalidation/store.ts';
import { ADMIN, DAY, type Governance, governedAgent, WORKSPACE } from './fixture.ts';

export interface Shared {
  readonly ids: readonly string[];
  readonly digest: string;
  readonly envelope: DsseEnvelope;
}

/** Governed agents whose proofs are one statement, as a mass renewal leaves them. */
export async function sharedAgents(world: Governance, count = 2): Promise<Shared> {
  const ids: string[] = [];
  for (let n = 0; n < count; n += 1) ids.push(await governedAgent(world));
  const due = await Promise.all(
    ids.map(async (agentId) => {
      const subject = await world.subject(agentId);
      const reading = readProof(subject);
      if (!reading.readable) throw new Error(reading.problem);
      return { subject, statement: reading.statement };
    }),
  );
  const { signers, storage, audit, time } = world;
  const issuer = { signer: signers.proof, key: signers.proofKey, ttlMs: 90 * DAY, clock: () => time.now };
  const head = await storage.read(WORKSPACE, (trx) => readHead(trx, WORKSPACE));
  const { proofs } = await renewMany(issuer, due, head, AbortSignal.timeout(5000));
  await audit.commit({
    chain: WORKSPACE,
    brake: true,
    work: ({ trx, now }) => storeRenewals(trx, WORKSPACE, proofs, new Date(now)),
  });
  const statement = proofs[0]?.statement;
  if (statement === undefined) throw new Error('no statement was shared');
  return { ids, ...statement };
}

/** What a replica that has just started says of the agent: it has read no statement yet. */
export async function coldDenials(world: Governance, agentId: string): Promise<string[]> {
  const failures: unknown[] = [];
  const admission = createAdmissionService({
    storage: world.storage,
    policy: world.policyAnswers,
    keyOf: world.signers.keyOf,
    clock: () => world.time.now,
    onFailure: (_check, error) => void failures.push(error),
  });
  const subject = await admission.load(WORKSPACE, agentId, ADMIN);
  if (subject === undefined) throw new Error('no such agent');
  const { denies } = await admission.evaluate(subject);
  if (failures.length > 0) throw failures[0];
  return denies.map(({ check, code }) => `${check} ${code}`);
}
