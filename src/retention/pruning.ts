import type { Static } from '@sinclair/typebox';

import type { AuditAppender, Claim } from '../audit/append.ts';
import { AuditError } from '../audit/errors.ts';
import type { CheckpointProofs, Covered } from '../checkpoints/proofs.ts';
import type { Clock } from '../clock.ts';
import { sha256Hex } from '../crypto/digest.ts';
import { NotFound, ValidationFailed } from '../http/problem.ts';
import { SYSTEM_CHAIN } from '../ids.ts';
import type { Trx } from '../storage/database.ts';
import type { Storage } from '../storage/storage.ts';
import { encodeRange } from '../transparency/compact-range.ts';
import { leafHash } from '../transparency/merkle.ts';
import type { RetentionCaller } from './caller.ts';
import { RetentionError } from './errors.ts';
import type { PruneBody, PruningSchema } from './pruning-schema.ts';
import { hashAt, insertPruning, type Limits, lastBefore, readLimits } from './pruning-store.ts';

type Request = Static<typeof PruneBody>;
type View = Static<typeof PruningSchema>;

/** Approves the removal of the oldest events of a chain. The service itself removes nothing, and cannot. */
export interface Prunings {
  /** Throws RetentionError for events that must stay. */
  approve(chain: string, request: Request, caller: RetentionCaller, claim?: Claim<View>): Promise<View>;
}

export function createPrunings(parts: {
  storage: Storage;
  audit: AuditAppender;
  clock: Clock;
  proofs: Pick<CheckpointProofs, 'covered' | 'inclusion' | 'range'>;
}): Prunings {
  const { storage, audit, clock, proofs } = parts;

  async function approve(chain: string, request: Request, caller: RetentionCaller, claim?: Claim<View>): Promise<View> {
    requirePast(request, clock());
    const limits = await storage.read(chain, (trx) => limitsOf(trx, chain));
    const covered = await proofs.covered(chain);
    if (covered === undefined) throw new RetentionError('NOT_CHECKPOINTED', 'no published checkpoint covers the chain');
    const to = await lastOf(chain, request, covered, limits);
    if (to > covered.size) {
      const detail = `the newest published checkpoint covers the chain up to seq ${covered.size}`;
      throw new RetentionError('NOT_CHECKPOINTED', detail);
    }
    requireRemovable(chain, to, limits);
    const { range, leaves } = await proofs.range(chain, to);
    const hash = await boundHash(chain, to);
    const tree = encodeRange(range);
    const { logSize } = covered;
    return audit.commit({
      chain,
      claim,
      work: async ({ trx, now, append }) => {
        // Again, now that nothing can be put in between.
        requireRemovable(chain, to, await limitsOf(trx, chain));
        const receipt = append({
          type: 'audit.pruned',
          actor: caller.actor,
          payload: { to, hash, tree: tree.toString('base64'), logSize, reason: request.reason },
          traceId: caller.traceId,
        });
        const createdAt = new Date(now);
        const kept = { hash, tree, leaves: Buffer.concat(leaves), logSize, createdAt };
        await insertPruning(trx, { chain, to, eventSeq: receipt.seq, ...kept });
        return { chain, to, hash, logSize, receipt };
      },
    });
  }

  async function lastOf(chain: string, request: Request, { size }: Covered, limits: Limits): Promise<number> {
    if ('to' in request) return request.to;
    const before = new Date(request.before);
    return storage.read(chain, async (trx) => {
      const { head, approved, registry } = limits;
      const last = registry > 0 ? Math.min(size, head - 1, registry - 1) : Math.min(size, head - 1);
      const to = await lastBefore(trx, chain, before, last);
      if (to > approved) return to;
      throw new RetentionError('CONFLICT', 'no more events than were approved before are older and may be removed');
    });
  }

  /** The hash of an event whose body is the one that the checkpoint covers. */
  async function boundHash(chain: string, seq: number): Promise<string> {
    const row = await storage.read(chain, (trx) => hashAt(trx, chain, seq));
    const proven = await proofs.inclusion(chain, seq);
    const holds = row !== undefined && leafHash(row.body).toString('base64') === proven.leafHash;
    if (holds && sha256Hex(row.body) === row.hash) return row.hash;
    throw new AuditError('AUDIT_UNAVAILABLE', `the stored event ${seq} is not the one that the checkpoint covers`);
  }

  return { approve };
}

/** All that is older than a time to come is all there is: nobody means that by an age. */
function requirePast(request: Request, now: number): void {
  if ('to' in request) return;
  const before = Date.parse(request.before);
  if (Number.isNaN(before)) throw new ValidationFailed([{ pointer: '/before', detail: 'cannot be represented' }]);
  if (before > now) throw new RetentionError('UNPROCESSABLE', 'before is in the future');
}

/** Rejects with RetentionError while the chain is held, NotFound when there is none. */
async function limitsOf(trx: Trx, chain: string): Promise<Limits> {
  const limits = await readLimits(trx, chain);
  if (limits === undefined) throw new NotFound();
  if (limits.held) throw new RetentionError('LEGAL_HOLD', 'the chain is under a legal hold');
  return limits;
}

function requireRemovable(chain: string, to: number, { head, approved, registry }: Limits): void {
  if (chain === SYSTEM_CHAIN && registry > 0 && to >= registry) {
    const detail = `the event at seq ${registry} vouches for the registry of signers: it has to stay`;
    throw new RetentionError('CONFLICT', detail);
  }
  if (to >= head) throw new RetentionError('CONFLICT', 'the newest event of the chain stays');
  if (to <= approved) throw new RetentionError('CONFLICT', `the removal up to seq ${approved} was approved before`);
}
