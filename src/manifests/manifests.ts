import type { UnitScope } from '../audit/append.ts';
import type { Actor } from '../audit/event.ts';
import type { Digest } from '../crypto/digest.ts';
import type { ManifestError } from './errors.ts';

/** The profile of the Kernel's own agents: none exists without a manifest (contract §5). */
export const MANIFEST_PROFILE = 'illuvrse';

/** Who presents a manifest, and in which request. */
export interface ManifestCaller extends Actor {
  readonly traceId: string;
}

/** Where a manifest is presented. */
export interface Presentation {
  readonly workspaceId: string;
  readonly caller: ManifestCaller;
}

/** A manifest that its signer vouches for. What it is for is compared by `accept`. */
export interface VerifiedManifest {
  readonly manifestId: string;
  readonly manifestHash: Digest;
  readonly signerId: string;
  readonly agentConfigHash: string;
  /** Ms since the epoch. */
  readonly issuedAt: number;
  readonly expiresAt: number;
}

/** What a unit makes, for which a manifest may be needed. */
export interface Governed extends Presentation {
  /** The profiles of every spec it touches: those it replaces and those it yields. */
  readonly profiles: readonly (string | undefined)[];
  /** Digest of the resulting spec. */
  readonly specHash: string;
  readonly agentId?: string;
  readonly templateId?: string;
}

/** The Kernel's manifests (contract §6). */
export interface Manifests {
  /**
   * Runs a use case with the manifest that came with its request, `undefined` for none. It is verified first, outside of any
   * transaction; the unit of the use case hands it to `accept`. A refusal by either, ManifestError, is in the audit of the
   * workspace before it is thrown. KernelUnavailable when nobody can say who signed it.
   */
  present<T>(
    presented: unknown,
    at: Presentation,
    useCase: (manifest: VerifiedManifest | undefined) => Promise<T>,
  ): Promise<T>;
  /**
   * In the unit that makes what is governed: ManifestError unless the manifest is for just this and was never used, and
   * MANIFEST_REQUIRED without one where a profile needs it. Spends it, and appends manifest.accepted.
   */
  accept(scope: UnitScope, manifest: VerifiedManifest | undefined, governed: Governed): Promise<void>;
  /** Has a refusal in the audit that neither of them came to: of a manifest in a body that could not be read. */
  reject(presented: unknown, at: Presentation, error: ManifestError): Promise<void>;
}
