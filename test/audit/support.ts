import { type AuditAppender, createAuditAppender } from '../../src/audit/append.ts';
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
  readonly signer: Signer & { broken: boolean };
  /** One more writer on the same database, as a second replica would be. */
  replica(): AuditAppender;
}

/** A migrated database with a registered audit signer that can be broken, and chains with the given names. */
export async function auditBench(t: Tap, chains: readonly string[]): Promise<Bench> {
  const database = await testDatabase(t);
  const storage = testStorage(t, database, 8);
  const keys = generateEd25519();
  await database.query(
    `INSERT INTO signers (signer_id, alg, public_key, purpose, state, created_at, created_by, updated_at)
     VALUES ('audit-1', 'Ed25519', $1, 'audit', 'active', now(), 'test', now())`,
    [keys.publicKeyPem],
  );
  for (const chain of chains) {
    await database.query(
      `INSERT INTO audit_heads (chain, seq, hash, updated_at) VALUES ($1, 0, repeat('0', 64), to_timestamp(0))`,
      [chain],
    );
  }
  const signer = breakable(createLocalSigner({ signerId: 'audit-1', privateKeyPem: keys.privateKeyPem }));
  return {
    database,
    storage,
    signer,
    replica: () =>
      createAuditAppender({
        storage: testStorage(t, database, 8),
        signer,
        clock: Date.now,
        transactions: 4,
        observe: silent,
      }),
  };
}

function breakable(inner: Signer): Signer & { broken: boolean } {
  return {
    signerId: inner.signerId,
    algorithm: inner.algorithm,
    broken: false,
    sign(data, signal) {
      if (this.broken) return Promise.reject(new SignerError('out of order'));
      return inner.sign(data, signal);
    },
  };
}
