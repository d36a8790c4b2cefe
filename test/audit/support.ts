import { type AuditAppender, createAuditAppender } from '../../src/audit/append.ts';
import type { SigningModeName } from '../../src/audit/signing-mode.ts';
import { type Signer, SignerError } from '../../src/crypto/signer.ts';
import { createLocalSigner, generateEd25519 } from '../../src/signers/drivers/local/ed25519.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { type TestDatabase, testDatabase, testStorage } from '../support/database.ts';
import type { Tap } from '../support/postgres.ts';

const nothing = () => undefined;
const silent = { batch: nothing, signed: nothing, signerFailed: nothing, queueDepth: nothing };

export interface Bench {
  readonly database: TestDatabase;
  readonly storage: Storage;
  /** What the audit log signs with, and how often it was asked. */
  readonly signer: Signer & { broken: boolean; asked: number };
  /** One more writer on the same database, as a second replica would be. */
  replica(mode?: SigningModeName): AuditAppender;
}

/** A signer with its public half, as the registry has it. */
export interface TestKey {
  readonly signer: Signer;
  readonly publicKeyPem: string;
}

/** A migrated database with a registered audit signer that can be broken, and chains with the given names. */
export async function auditBench(t: Tap, chains: readonly string[], by: TestKey = localKey()): Promise<Bench> {
  const database = await testDatabase(t);
  const storage = testStorage(t, database, 8);
  await database.query(
    `INSERT INTO signers (signer_id, alg, public_key, purpose, state, created_at, created_by, updated_at)
     VALUES ($1, $2, $3, 'audit', 'active', now(), 'test', now())`,
    [by.signer.signerId, by.signer.algorithm, by.publicKeyPem],
  );
  for (const chain of chains) {
    await database.query(
      `INSERT INTO audit_heads (chain, seq, hash, updated_at) VALUES ($1, 0, repeat('0', 64), to_timestamp(0))`,
      [chain],
    );
  }
  const signer = breakable(by.signer);
  return {
    database,
    storage,
    signer,
    replica: (mode) =>
      createAuditAppender({
        storage: testStorage(t, database, 8),
        signer,
        mode,
        clock: Date.now,
        transactions: 4,
        observe: silent,
      }),
  };
}

function localKey(): TestKey {
  const { privateKeyPem, publicKeyPem } = generateEd25519();
  return { signer: createLocalSigner({ signerId: 'audit-1', privateKeyPem }), publicKeyPem };
}

function breakable(inner: Signer): Bench['signer'] {
  return {
    signerId: inner.signerId,
    algorithm: inner.algorithm,
    broken: false,
    asked: 0,
    sign(data, signal) {
      this.asked += 1;
      if (this.broken) return Promise.reject(new SignerError('out of order'));
      return inner.sign(data, signal);
    },
  };
}
