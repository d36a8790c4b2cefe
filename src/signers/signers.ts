import type { AuditAppender } from '../audit/append.ts';
import type { Clock } from '../clock.ts';
import { type Signer, SignerError } from '../crypto/signer.ts';
import type { VerificationKey } from '../crypto/verify.ts';
import { SYSTEM_CHAIN } from '../ids.ts';
import type { Trx } from '../storage/database.ts';
import type { Storage } from '../storage/storage.ts';
import { admitOwn, type BootRules, type OwnSigner } from './boot.ts';
import { countsAt, notInForce } from './in-force.ts';
import { createKeyOf, type KeyOf, publicKeyPem } from './keys.ts';
import { type EventPlace, findRevocations, findSigner, isInLog, type SignerRow } from './store.ts';
import type { SignerPurpose, SignerState } from './table.ts';
import { type KeyedSigner, verifiedSigner } from './verified-signer.ts';

const TRIAL_BYTES = Buffer.from('castellan: a trial signature, evidence of nothing');

/** The keys this process signs with, and the keys it verifies with. */
export interface Signers {
  /** Signs audit events; every signature is verified before it is used. */
  readonly audit: Signer;
  /** Signs proofs; every signature is verified before it is used. */
  readonly proof: Signer;
  /** The same for a mass of proofs that nobody waits for: with a quota it leaves half of it to the others. */
  readonly proofInBackground: Signer;
  /** Signs checkpoints, with its key; undefined where none are made. Every signature is verified before it is used. */
  readonly checkpoint: { readonly signer: Signer; readonly key: VerificationKey } | undefined;
  /** Ids of the signers of this process. */
  readonly own: ReadonlySet<string>;
  /** The key of a registry row. */
  readonly keyOf: KeyOf;
  /** The proof signer's registered key. Rejects with SignerError unless the registry has it in force now. */
  proofKey(): Promise<VerificationKey>;
  /** In a unit that stores a proof: SignerError unless the proof signer is still in force. */
  requireProofSigner(trx: Trx, now: number): Promise<void>;
  /** SignerError unless the checkpoint signer is in force. */
  requireCheckpointSigner(trx: Trx, now: number): Promise<void>;
  /** What the registry knows of a signer; undefined for one that it does not list, or whose key is not at hand. */
  find(trx: Trx, signerId: string): Promise<RegisteredSigner | undefined>;
  /** How a signer stands that is said to have signed for `purpose`; undefined for one that the registry does not list. */
  standing(trx: Trx, signerId: string, purpose: SignerPurpose, now: number): Promise<SignerStanding | undefined>;
  /**
   * The key of an audit signer whose signature made at `at` (ms since the epoch) counts; undefined for one unknown, for
   * another purpose, pending, or revoked or no longer trusted by then, or by the log as it was when it was last trusted.
   */
  findAuditKey(trx: Trx, signerId: string, at: number, place?: EventPlace): Promise<VerificationKey | undefined>;
  /** Who is no longer trusted; `revision` rises with every change of the registry. */
  findRevocations(trx: Trx): Promise<{ revoked: string[]; revision: number }>;
  /**
   * Signs and verifies with those of audit and proof, and sees both in force in the registry; else rejects with SignerError.
   * Nothing governed waits for the checkpoint signer.
   */
  trial(): Promise<void>;
  /** As trial, by asking where a key is held whether it would sign: readiness must not use up what signatures cost. */
  probe(): Promise<void>;
  /** Ends connections to where keys are held. */
  close(): void;
  /**
   * At boot: lists own signers that the registry lacks, and puts pending ones in force. SignerMismatch when it has another
   * key under their id, or others of their purpose, unless `trustsUnlisted` is there to be told.
   */
  ensureRegistered(audit: AuditAppender, rules?: Pick<BootRules, 'trustsUnlisted'>): Promise<void>;
}

/** A registry entry with its parsed key; times in ms since the epoch. */
interface RegisteredSigner {
  readonly key: VerificationKey;
  readonly purpose: SignerPurpose;
  readonly state: SignerState;
  readonly notBefore?: number;
  readonly notAfter?: number;
}

/** Whether a listed signer may sign now. */
export interface SignerStanding {
  readonly purpose: SignerPurpose;
  /** Undefined for a shared secret that is not at hand. */
  readonly key: VerificationKey | undefined;
  /** Why not, if it may not. */
  readonly problem: string | undefined;
}

interface Own extends OwnSigner {
  readonly inBackground: Signer;
  readonly key: VerificationKey;
  probe(): Promise<void>;
  close(): void;
}

export function createSigners(options: {
  storage: Storage;
  auditDriver: KeyedSigner;
  proofDriver: KeyedSigner;
  checkpointDriver?: KeyedSigner | undefined;
  clock: Clock;
}): Signers {
  const { storage, clock, checkpointDriver } = options;
  const auditSigner = ownSigner(options.auditDriver, 'audit');
  const proofSigner = ownSigner(options.proofDriver, 'proof');
  const checkpointSigner = checkpointDriver && ownSigner(checkpointDriver, 'checkpoint');
  const needed = [auditSigner, proofSigner];
  const own = checkpointSigner === undefined ? needed : [...needed, checkpointSigner];
  const secrets = new Map(own.filter((one) => one.publicKey === null).map((one) => [one.signer.signerId, one.key]));
  const keyOf = createKeyOf(secrets);

  async function requireInForce(trx: Trx, { signer, purpose }: Own, now: number): Promise<SignerRow> {
    const row = await findSigner(trx, signer.signerId);
    const problem = notInForce(row, purpose, now);
    if (row === undefined || problem !== undefined) {
      throw new SignerError(`the ${purpose} signer ${signer.signerId} cannot be used: ${problem}`);
    }
    return row;
  }

  async function proofKey(): Promise<VerificationKey> {
    const row = await storage.read(SYSTEM_CHAIN, (trx) => requireInForce(trx, proofSigner, clock()));
    const key = keyOf(row);
    if (key === undefined) throw new SignerError(`the key of ${row.signer_id} is not at hand`);
    return key;
  }

  async function requireProofSigner(trx: Trx, now: number): Promise<void> {
    await requireInForce(trx, proofSigner, now);
  }

  async function requireCheckpointSigner(trx: Trx, now: number): Promise<void> {
    if (checkpointSigner === undefined) throw new SignerError('there is no checkpoint signer');
    await requireInForce(trx, checkpointSigner, now);
  }

  async function find(trx: Trx, signerId: string): Promise<RegisteredSigner | undefined> {
    const row = await findSigner(trx, signerId);
    const key = row === undefined ? undefined : keyOf(row);
    if (row === undefined || key === undefined) return undefined;
    return {
      key,
      purpose: row.purpose,
      state: row.state,
      ...(row.not_before === null ? {} : { notBefore: row.not_before.getTime() }),
      ...(row.not_after === null ? {} : { notAfter: row.not_after.getTime() }),
    };
  }

  async function standing(
    trx: Trx,
    signerId: string,
    purpose: SignerPurpose,
    now: number,
  ): Promise<SignerStanding | undefined> {
    const row = await findSigner(trx, signerId);
    return row && { purpose: row.purpose, key: keyOf(row), problem: notInForce(row, purpose, now) };
  }

  async function findAuditKey(
    trx: Trx,
    signerId: string,
    at: number,
    place?: EventPlace,
  ): Promise<VerificationKey | undefined> {
    const row = await findSigner(trx, signerId);
    if (row === undefined || row.purpose !== 'audit' || !countsAt(row, at)) return undefined;
    const { valid_to_size: size } = row;
    // Whoever has the key can write any time into an event, but not an entry into the log as it was.
    if (place !== undefined && size !== null && !(await isInLog(trx, place, size))) return undefined;
    return keyOf(row);
  }

  async function trial(): Promise<void> {
    await Promise.all(needed.map((one) => one.signer.sign(TRIAL_BYTES)));
    await requireNeeded();
  }

  async function probe(): Promise<void> {
    await Promise.all(needed.map((one) => one.probe()));
    await requireNeeded();
  }

  async function requireNeeded(): Promise<void> {
    await storage.read(SYSTEM_CHAIN, async (trx) => {
      for (const one of needed) await requireInForce(trx, one, clock());
    });
  }

  async function ensureRegistered(
    audit: AuditAppender,
    { trustsUnlisted }: Pick<BootRules, 'trustsUnlisted'> = {},
  ): Promise<void> {
    await admitOwn({ storage, audit }, own, {
      ...(trustsUnlisted && { trustsUnlisted }),
      tries: ({ signer }) => signer.sign(TRIAL_BYTES),
    });
  }

  return {
    audit: auditSigner.signer,
    proof: proofSigner.signer,
    proofInBackground: proofSigner.inBackground,
    checkpoint: checkpointSigner && { signer: checkpointSigner.signer, key: checkpointSigner.key },
    own: new Set(own.map(({ signer }) => signer.signerId)),
    keyOf,
    proofKey,
    requireProofSigner,
    requireCheckpointSigner,
    find,
    standing,
    findAuditKey,
    findRevocations,
    trial,
    probe,
    ensureRegistered,
    close: () => {
      for (const one of own) one.close();
    },
  };
}

function ownSigner(driver: KeyedSigner, purpose: SignerPurpose): Own {
  const signer = verifiedSigner(driver);
  return {
    signer,
    inBackground: driver.background === undefined ? signer : verifiedSigner(driver.background),
    key: driver.key,
    purpose,
    publicKey: publicKeyPem(driver.key),
    async probe() {
      if (driver.probe === undefined) await signer.sign(TRIAL_BYTES);
      else await driver.probe();
    },
    close: () => driver.close?.(),
  };
}
