import type { VerificationKey } from '../../crypto/verify.ts';
import type { KeyedSigner } from '../verified-signer.ts';
import { withAttempts } from './attempts.ts';
import { createSigningQuota, type SigningQuota, type Workload } from './signing-quota.ts';

/** ms for one signature with everything that is tried for it (audit.md: below lock_timeout). */
const DEADLINE_MS = 2000;

export interface RemoteLimits {
  /** Signers of one account and region share theirs; a quota of its own if absent. */
  readonly quota?: SigningQuota | undefined;
  /** ms for one signature or one probe, retries and the wait for the quota included. Default 2,000. */
  readonly deadlineMs?: number | undefined;
}

/** A key that is held elsewhere. `signOnce` and `probeOnce` make one request and throw SignerError. */
export interface RemoteKey {
  readonly signerId: string;
  readonly key: VerificationKey;
  /** The most that it takes at once; absent: any. */
  readonly maxBytes?: number | undefined;
  signOnce(data: Uint8Array, signal: AbortSignal): Promise<Buffer>;
  probeOnce(signal: AbortSignal): Promise<void>;
  close(): void;
}

/** A signer over a connection. What it signs must be verified: see verifiedSigner. */
export interface RemoteSigner extends KeyedSigner {
  /** The same key for work nobody waits for: at most half of the quota. */
  readonly background: Pick<KeyedSigner, 'signer' | 'key'>;
  /** Resolves when the key would sign now, without signing; else rejects with SignerError. */
  probe(signal?: AbortSignal): Promise<void>;
  /** Ends the connections. */
  close(): void;
}

/** Gives a key its limits of time and quota, and tries again what may pass. */
export function remoteSigner(remote: RemoteKey, limits: RemoteLimits): RemoteSigner {
  const { signerId, key, maxBytes } = remote;
  const { quota = createSigningQuota(), deadlineMs = DEADLINE_MS } = limits;

  function attempts<T>(
    work: (signal: AbortSignal) => Promise<T>,
    workload: Workload,
    signal?: AbortSignal,
  ): Promise<T> {
    return withAttempts(work, { deadlineMs, signal, leave: (whole) => quota.take(workload, whole) });
  }

  function signerFor(workload: Workload): KeyedSigner {
    return {
      key,
      signer: {
        signerId,
        algorithm: key.algorithm,
        ...(maxBytes === undefined ? {} : { maxBytes }),
        sign: (data, signal) => attempts((attempt) => remote.signOnce(data, attempt), workload, signal),
      },
    };
  }

  return {
    ...signerFor('foreground'),
    background: signerFor('background'),
    probe: (signal) => attempts((attempt) => remote.probeOnce(attempt), 'foreground', signal),
    close: () => remote.close(),
  };
}
