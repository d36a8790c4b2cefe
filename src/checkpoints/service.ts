import type { Clock } from '../clock.ts';
import type { CheckpointSinks } from '../config/checkpoints.ts';
import type { Failpoints } from '../failpoints.ts';
import type { Signers } from '../signers/signers.ts';
import type { Storage } from '../storage/storage.ts';
import { noteKey } from '../transparency/note-key.ts';
import { consistencyProof } from '../transparency/proofs.ts';
import { createDelivery, type DeliveryObserver } from './delivery.ts';
import { CheckpointError } from './errors.ts';
import { createRounds } from './round.ts';
import { configuredSinks } from './sinks/configured.ts';
import { cosign, readNewestNote, type StoredNote } from './store.ts';
import { GLOBAL_TREE } from './tiles.ts';
import { storedTree } from './tree-reader.ts';

export interface CheckpointObserver extends DeliveryObserver {
  /** A note over `size` entries was signed and stored here. */
  signed(size: number, at: number): void;
  /** Nothing is signed because what is stored is not what was signed before. */
  refused(): void;
  /** Chains without a new checkpoint, by their rows. */
  damaged(chains: readonly string[]): void;
  signerFailed(): void;
}

export interface CheckpointParts {
  readonly storage: Storage;
  readonly clock: Clock;
  readonly signers: Signers;
  readonly origin: string;
  readonly sinks: CheckpointSinks;
  readonly observe: CheckpointObserver;
  readonly random: () => number;
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly failpoints?: Failpoints | undefined;
}

/** Makes checkpoints and hands them on. */
export interface Checkpoints {
  /** One round. Rejects when no checkpoint could be made that should have been; the next one tries again. */
  round(signal?: AbortSignal): Promise<void>;
  /** Readiness: CHECKPOINT_INCONSISTENT while what is stored is not what was signed before. */
  ready(): Promise<void>;
  /** Resolves when all notes were handed on. */
  handedOn(): Promise<void>;
  close(): Promise<void>;
}

/** Undefined where there is no checkpoint signer. Throws TransparencyError for settings that no note can hold. */
export function createCheckpoints(parts: CheckpointParts): Checkpoints | undefined {
  const { storage, clock, signers, observe, failpoints } = parts;
  const { checkpoint } = signers;
  if (checkpoint === undefined) return undefined;
  const { signer, key } = checkpoint;

  const makeRound = createRounds({
    storage,
    clock,
    signerId: signer.signerId,
    signer: { key: noteKey(parts.origin, 'ed25519', key), sign: (message) => signer.sign(message) },
    findKey: async (trx, signerId) => {
      const found = await signers.find(trx, signerId);
      return found?.purpose === 'checkpoint' ? found.key : undefined;
    },
    requireInForce: signers.requireCheckpointSigner,
    failpoints,
  });
  const sinks = configuredSinks(parts.sinks, clock, {
    consistency: (from, to) => storage.system((trx) => consistencyProof(from, to, storedTree(trx, GLOBAL_TREE, to))),
    cosigned: async (note, lines) => {
      const cosigned = await storage.transaction((session) => cosign(session, note, lines));
      if (cosigned.note !== note.note) forKeeping.offer(cosigned);
    },
  });
  const isWitness = (name: string) => name.startsWith('witness:');
  const delivery = { observe, random: parts.random, wait: parts.wait };
  const forKeeping = createDelivery({ ...delivery, sinks: sinks.filter(({ name }) => !isWitness(name)) });
  const forWitnesses = createDelivery({ ...delivery, sinks: sinks.filter(({ name }) => isWitness(name)) });
  let refusal: CheckpointError | undefined;
  let first = true;

  function handOn(note: StoredNote): void {
    forKeeping.offer(note);
    forWitnesses.offer(note);
  }

  /** What another process has stored and perhaps not handed on. */
  async function handOnNewest(): Promise<void> {
    const newest = await storage.system(readNewestNote);
    first = false;
    if (newest !== undefined) handOn(newest);
  }

  async function round(signal?: AbortSignal): Promise<void> {
    try {
      const { note, damaged } = await makeRound(signal);
      refusal = undefined;
      observe.damaged(damaged);
      if (note !== undefined) observe.signed(note.size, note.createdAt.getTime());
      if (note !== undefined) handOn(note);
      else if (first) await handOnNewest();
      first = false;
    } catch (error) {
      if (error instanceof CheckpointError) {
        refusal = error;
        observe.refused();
      }
      if (isSignerFailure(error)) observe.signerFailed();
      throw error;
    }
  }

  return {
    round,
    ready: async () => {
      if (refusal !== undefined) throw refusal;
    },
    handedOn: async () => {
      await forWitnesses.settled();
      await forKeeping.settled();
    },
    close: async () => {
      await Promise.all([forKeeping.close(), forWitnesses.close()]);
    },
  };
}

function isSignerFailure(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'SIGNER_UNAVAILABLE';
}
