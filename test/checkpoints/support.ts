import type { AuditAppender } from '../../src/audit/append.ts';
import { createRounds, type RoundParts } from '../../src/checkpoints/round.ts';
import { SignerError } from '../../src/crypto/signer.ts';
import { type VerificationKey, verificationKey } from '../../src/crypto/verify.ts';
import { createLocalSigner, generateEd25519 } from '../../src/signers/drivers/local/ed25519.ts';
import { type NoteKey, noteKey } from '../../src/transparency/note-key.ts';
import { auditBench, type Bench } from '../audit/support.ts';
import { testStorage } from '../support/database.ts';
import type { Tap } from '../support/postgres.ts';

export const ORIGIN = 'castellan.test/log';
const actor = { id: 'tester', kind: 'human' } as const;

export interface CheckpointBench extends Bench {
  readonly key: NoteKey;
  /** Of everything here; moved by the test. */
  readonly time: { now: number };
  readonly noteSigner: { broken: boolean; signed: number };
  /** Appends `count` events one after the other. */
  append(chain: string, count?: number): Promise<void>;
  readonly audit: AuditAppender;
  /** Rounds as one replica makes them, with connections of its own. */
  rounds(options?: Pick<RoundParts, 'failpoints'>): ReturnType<typeof createRounds>;
}

/** An audit bench with a registered checkpoint signer. */
export async function checkpointBench(t: Tap, chains: readonly string[]): Promise<CheckpointBench> {
  const bench = await auditBench(t, chains);
  const keys = generateEd25519();
  await bench.database.query(
    `INSERT INTO signers (signer_id, alg, public_key, purpose, state, created_at, created_by, updated_at)
     VALUES ('checkpoint-1', 'Ed25519', $1, 'checkpoint', 'active', '2020-01-01', 'test', now())`,
    [keys.publicKeyPem],
  );
  const publicKey: VerificationKey = verificationKey('Ed25519', keys.publicKeyPem);
  const key = noteKey(ORIGIN, 'ed25519', publicKey);
  const inner = createLocalSigner({ signerId: 'checkpoint-1', privateKeyPem: keys.privateKeyPem });
  const noteSigner = { broken: false, signed: 0 };
  const time = { now: Date.parse('2026-01-01T00:00:00.000Z') };
  const audit = bench.replica();
  return {
    ...bench,
    key,
    time,
    noteSigner,
    audit,
    append: async (chain, count = 1) => {
      const payload = { workspaceId: chain, displayName: 'x' };
      for (let n = 0; n < count; n += 1) {
        await audit.commit({
          chain,
          work: async ({ append }) => append({ type: 'workspace.created', actor, payload }),
        });
      }
    },
    rounds: (options = {}) =>
      createRounds({
        storage: testStorage(t, bench.database, 4),
        clock: () => time.now,
        signerId: 'checkpoint-1',
        signer: {
          key,
          sign: async (message) => {
            if (noteSigner.broken) throw new SignerError('out of order');
            noteSigner.signed += 1;
            return inner.sign(message);
          },
        },
        findKey: async (_trx, signerId) => (signerId === 'checkpoint-1' ? publicKey : undefined),
        requireInForce: async () => undefined,
        ...options,
      }),
  };
}

/** Appends `count` events in one unit: fast. */
export async function appendMany(bench: CheckpointBench, chain: string, count: number): Promise<void> {
  await bench.audit.commit({
    chain,
    work: async ({ append }) => {
      for (let n = 0; n < count; n += 1) {
        append({ type: 'workspace.created', actor, payload: { workspaceId: chain, displayName: `${n}` } });
      }
    },
  });
}
