import { type AuditAppender, createAuditAppender } from '../../../src/audit/append.ts';
import type { EventInput, EventReceipt } from '../../../src/audit/event.ts';
import type { SigningModeName } from '../../../src/audit/signing-mode.ts';
import { createCheckpointProofs } from '../../../src/checkpoints/proofs.ts';
import { createCheckpoints } from '../../../src/checkpoints/service.ts';
import type { Clock } from '../../../src/clock.ts';
import { SignerError } from '../../../src/crypto/signer.ts';
import { verificationKey } from '../../../src/crypto/verify.ts';
import { createErase } from '../../../src/retention/erasures.ts';
import { createHolds } from '../../../src/retention/holds.ts';
import { createPrunings } from '../../../src/retention/pruning.ts';
import { createLocalSigner, generateEd25519 } from '../../../src/signers/drivers/local/ed25519.ts';
import { createReattestations } from '../../../src/signers/reattestation.ts';
import { createSignerRegistry } from '../../../src/signers/service.ts';
import { createSigners } from '../../../src/signers/signers.ts';
import { createStorage } from '../../../src/storage/storage.ts';
import { createWorkspaceService } from '../../../src/workspaces/service.ts';
import type { TestDatabase } from '../../support/database.ts';
import { quiet } from '../../support/postgres.ts';
import { activateFirst } from './honest-policy.ts';

const nothing = () => undefined;
const silent = { batch: nothing, signed: nothing, signerFailed: nothing, queueDepth: nothing };

/** A key and whether anybody still has it. */
export interface HonestKey {
  readonly signerId: string;
  readonly privateKeyPem: string;
  readonly publicKeyPem: string;
  lost: boolean;
}

export interface ReplicaOptions {
  readonly database: TestDatabase;
  readonly clock: Clock;
  readonly mode: SigningModeName;
  readonly audit: HonestKey;
  readonly proof: HonestKey;
  readonly checkpoint: HonestKey;
  /** Told of every event of a unit that was committed. */
  readonly appended: (receipt: EventReceipt, event: EventInput) => void;
}

export type Replica = Awaited<ReturnType<typeof openReplica>>;

export function honestKey(signerId: string): HonestKey {
  return { signerId, ...generateEd25519(), lost: false };
}

/** The use cases that write to the log, as one process of the service has them: booted, with connections of its own. */
export async function openReplica(options: ReplicaOptions) {
  const { database, clock, mode, audit: key } = options;
  const { appUrl, systemUrl } = database;
  const storage = createStorage({ appUrl, systemUrl, poolSize: 4, applicationName: 'castellan-test', logger: quiet });
  const outage = { on: false };
  const signers = createSigners({
    storage,
    clock,
    auditDriver: driver(key, () => outage.on || key.lost),
    proofDriver: driver(options.proof, () => false),
    checkpointDriver: driver(options.checkpoint, () => false),
  });
  const appender = createAuditAppender({
    storage,
    signer: signers.audit,
    mode,
    clock,
    transactions: 3,
    observe: silent,
  });
  const audit = told(appender, options.appended);
  const checkpoints = createCheckpoints({
    storage,
    clock,
    signers,
    origin: 'castellan.test/log',
    sinks: { file: undefined, s3: undefined, webhook: undefined, witnesses: [] },
    random: () => 0.5,
    wait: async () => undefined,
    observe: {
      signed: nothing,
      refused: nothing,
      signerFailed: nothing,
      delivered: nothing,
      failed: nothing,
      damaged: (chains) => {
        if (chains.length > 0) throw new Error(`a round finds ${chains.join()} changed`);
      },
    },
  });
  if (checkpoints === undefined) throw new Error('no checkpoint signer');
  const proofs = createCheckpointProofs(storage);

  async function close(): Promise<void> {
    await audit.close();
    await checkpoints?.close();
    await storage.close();
  }

  try {
    await signers.ensureRegistered(audit);
  } catch (error) {
    await close();
    throw error;
  }
  return {
    key,
    mode,
    outage,
    storage,
    audit,
    round: () => checkpoints.round(),
    registry: createSignerRegistry({ storage, audit, own: signers.own }),
    workspaces: createWorkspaceService({ storage, audit, policy: { activateDefault: activateFirst } }),
    erase: createErase({ audit }),
    holds: createHolds({ storage, audit }),
    prunings: createPrunings({ storage, audit, clock, proofs }),
    covered: proofs.covered,
    reattestations: createReattestations({ storage, audit }),
    close,
  };
}

function driver({ signerId, privateKeyPem, publicKeyPem }: HonestKey, fails: () => boolean) {
  const signer = createLocalSigner({ signerId, privateKeyPem });
  const sign: typeof signer.sign = async (data, signal) => {
    if (fails()) throw new SignerError('out of order');
    return signer.sign(data, signal);
  };
  return { signer: { ...signer, sign }, key: verificationKey('Ed25519', publicKeyPem), inProcess: true };
}

/** The appender, which says what was committed. */
function told(audit: AuditAppender, appended: ReplicaOptions['appended']): AuditAppender {
  return {
    close: () => audit.close(),
    commit: async (unit) => {
      if ('decide' in unit) return audit.commit(unit);
      let written: [EventReceipt, EventInput][] = [];
      const value = await audit.commit({
        ...unit,
        work: async (scope) => {
          // A unit may be run again.
          written = [];
          const append = (event: EventInput): EventReceipt => {
            const receipt = scope.append(event);
            written.push([receipt, event]);
            return receipt;
          };
          return unit.work({ ...scope, append });
        },
      });
      for (const [receipt, event] of written) appended(receipt, event);
      return value;
    },
  };
}
