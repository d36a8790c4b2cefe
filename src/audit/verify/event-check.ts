import { hash } from 'node:crypto';

import { leafHash } from '../../transparency/merkle.ts';
import { type EventBody, parseBody } from './body.ts';
import { checkValues } from './personal.ts';
import { editedProjections } from './projections.ts';
import type { AuditRow } from './row.ts';
import type { SignatureTask } from './signed-message.ts';
import { mayBeUnsigned } from './unsigned-types.ts';

/** Of a row of mode batch that has none: leads to no root. */
const NO_PLACE = { index: 0, size: 0, path: Buffer.alloc(0) };

/** Named as an edited column: in a directory of tiles the leaf hash of the body stands there once more. */
export const TILE_HASH = 'its hash in the tile';

/** What an event says of itself, as far as its neighbours and its signer are concerned. */
export interface EventClaims {
  readonly chain: string;
  readonly seq: number;
  readonly tsMs: number;
  readonly prevHash: string;
  readonly signerId: string | null;
  /** The unsigned events it vouches for, if it is an `audit.deferred.covered`; NaN for what is no position. */
  readonly covers: { readonly from: number; readonly to: number } | undefined;
  /** The signing modes before and after it, if it is an `audit.signmode.switched`. */
  readonly switches: { readonly from: unknown; readonly to: unknown } | undefined;
  /** The doubtful events it vouches for, if it is an `audit.range.reattested`. */
  readonly reattests: { signerId: string; from: number; to: number; hash: string } | undefined;
  /** Personal values that it says were erased, if it is an `erasure.performed`; else 0. */
  readonly erases: number;
  /** The registry after it, if it changed that. */
  readonly registry: { readonly version: number; readonly digest: string } | undefined;
}

/** What one row shows by itself, before its signature and its neighbours are looked at. Holds neither body nor payload. */
export interface EventFacts {
  readonly chain: string;
  readonly seq: number;
  readonly hash: string;
  readonly bodyHash: string;
  /** The body as a leaf of its chain's tree. */
  readonly leaf: Buffer;
  readonly prevHash: string;
  /** The parsed body, or why it is no canonical event. */
  readonly body: EventClaims | string;
  /** Columns that differ from the body; empty without one. */
  readonly edited: readonly string[];
  /** Commitments to personal values that its source does not have any more. */
  readonly missing: number;
  readonly signMode: string;
  /** Undefined: the row has no signature, or names no signer it could be of. */
  readonly task: SignatureTask | undefined;
  /** The body itself says that it was written unsigned. */
  readonly deferred: boolean;
  /** Its type, if it is no event that Castellan ever writes unsigned. */
  readonly needsSignature: string | undefined;
}

/** Hashes and parses one row and compares its columns with its body. Pure; never throws. */
export function checkEvent(row: AuditRow): EventFacts {
  const bodyHash = hash('sha256', row.body, 'hex');
  const body = parseBody(row.body);
  const parsed = typeof body === 'string' ? undefined : body;
  // An edited body may lie about its signer, too: then the row's word is tried first.
  const names = bodyHash === row.hash ? [parsed?.signerId, row.signerId] : [row.signerId, parsed?.signerId];
  const signerId = names.find((name) => typeof name === 'string');
  const { signature } = row;
  const values = checkValues(parsed?.payload ?? {}, row.personal, parsed?.actor.id);
  return {
    chain: row.chain,
    seq: row.seq,
    hash: row.hash,
    bodyHash,
    leaf: leafHash(row.body),
    prevHash: row.prevHash,
    body: typeof body === 'string' ? body : claimsOf(body),
    edited: parsed === undefined ? [] : [...editedColumns(row, parsed), ...values.edited],
    missing: values.missing,
    signMode: row.signMode,
    task:
      signature === null || signature === '' || signerId === undefined
        ? undefined
        : { signerId, signature, hash: row.hash, bodyHash, batch: placeInBatch(row) },
    deferred: parsed !== undefined && parsed.signerId === null,
    needsSignature: parsed === undefined || mayBeUnsigned(parsed) ? undefined : parsed.eventType,
  };
}

/** What the row says of its mode is taken for the signature alone: one of the other mode does not verify then. */
function placeInBatch({ signMode, batch = NO_PLACE }: AuditRow): SignatureTask['batch'] {
  if (signMode !== 'batch') return undefined;
  return { index: batch.index, size: batch.size, path: batch.path.toString('latin1') };
}

function claimsOf({ chain, seq, tsMs, prevHash, signerId, eventType, payload }: EventBody): EventClaims {
  const covering = eventType === 'audit.deferred.covered';
  const covers = covering ? { from: position(payload['from']), to: position(payload['to']) } : undefined;
  const reattests = eventType === 'audit.range.reattested' ? reattestedBy(payload) : undefined;
  const erases = eventType === 'erasure.performed' ? position(payload['values']) : 0;
  const registry = eventType.startsWith('signer.') ? registryAfter(payload) : undefined;
  const switches = eventType === 'audit.signmode.switched' ? { from: payload['from'], to: payload['to'] } : undefined;
  return { chain, seq, tsMs, prevHash, signerId, covers, switches, reattests, erases, registry };
}

function reattestedBy({ signerId, from, to, hash: last }: EventBody['payload']): EventClaims['reattests'] {
  if (typeof signerId !== 'string' || typeof last !== 'string') return undefined;
  return { signerId, from: position(from), to: position(to), hash: last };
}

function registryAfter({ registryVersion, registryDigest }: EventBody['payload']): EventClaims['registry'] {
  if (typeof registryDigest !== 'string') return undefined;
  return { version: position(registryVersion), digest: registryDigest };
}

function position(value: unknown): number {
  return typeof value === 'number' && Number.isSafeInteger(value) ? value : Number.NaN;
}

/** Besides the projections: an event that says it is unsigned has no signature, and the reverse. */
function editedColumns(row: AuditRow, body: EventBody): string[] {
  const edited = editedProjections(row, body);
  if (row.otherwise !== undefined) edited.push(row.otherwise);
  const modes = body.signerId === null ? ['deferred'] : ['event', 'batch'];
  if (!modes.includes(row.signMode)) edited.push('signMode');
  if (row.signMode !== 'batch' && row.batch !== undefined) edited.push('batch');
  if (body.signerId === null && row.signature !== null) edited.push('signature');
  return edited;
}
