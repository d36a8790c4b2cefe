import type { PoolClient } from 'pg';

import { sha256Hex } from '../crypto/digest.ts';
import { AuditError } from './errors.ts';
import { GENESIS_HASH } from './event.ts';
import { readEvents, type StoredEvent } from './store.ts';

/** Rows read at once; a body has at most 64 KiB. */
const PAGE = 500;

/** Restrictions and observed facts: all that is ever written without a signature (audit.md, the brakes). */
const BRAKE_EVENTS: ReadonlySet<unknown> = new Set([
  'access.denied',
  'access.lock.placed',
  'agent.exited',
  'agent.expired',
  'agent.failed',
  'agent.invalidated',
  'agent.quarantined',
  'agent.stopped',
  'audit.hold.placed',
  'killswitch.engaged',
  'signer.compromise',
  'signer.revoked',
  'signer.rotation.requested',
  'workspace.suspended',
]);

interface Range {
  readonly chain: string;
  readonly from: number;
  readonly to: number;
  /** The head's hash: that of the event at `to`. */
  readonly hash: string;
}

/** Rejects with CHAIN_UNCOVERED unless the unsigned events are brakes, whole, linked and without a gap. */
export async function requireGenuine(client: PoolClient, range: Range): Promise<void> {
  const { chain, from, to } = range;
  const [before] = from === 1 ? [] : await readEvents(client, chain, from - 1, 1);
  let link = from === 1 ? GENESIS_HASH : before?.hash;
  for (let next = from; next <= to; ) {
    const page = await readEvents(client, chain, next, Math.min(PAGE, to - next + 1));
    if (page.length === 0) throw refusal(chain, next);
    for (const event of page) {
      if (event.seq !== next || event.prevHash !== link || !isGenuine(event, chain)) throw refusal(chain, next);
      link = event.hash;
      next += 1;
    }
  }
  if (link !== range.hash) throw refusal(chain, to);
}

function isGenuine(event: StoredEvent, chain: string): boolean {
  if (event.signature !== null || sha256Hex(event.body) !== event.hash) return false;
  const body: unknown = JSON.parse(event.body.toString('utf8'));
  if (typeof body !== 'object' || body === null) return false;
  const { chain: named, seq, prevHash, eventType, payload } = Object.assign(Object.create(null), body);
  if (named !== chain || seq !== event.seq || prevHash !== event.prevHash || !BRAKE_EVENTS.has(eventType)) return false;
  // A rotation is a brake only in an emergency; any other waits for the signer that it replaces.
  return eventType !== 'signer.rotation.requested' || Object(payload).emergency === true;
}

function refusal(chain: string, seq: number): AuditError {
  return new AuditError('CHAIN_UNCOVERED', `the unsigned event ${seq} of ${chain} is not one that was written here`);
}
