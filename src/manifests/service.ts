import type { AuditAppender, UnitScope } from '../audit/append.ts';
import type { Clock } from '../clock.ts';
import { sha256Digest } from '../crypto/digest.ts';
import { verifySignatureAsync } from '../crypto/verify.ts';
import { namesIn, readEnvelope } from './envelope.ts';
import { ManifestError } from './errors.ts';
import {
  type Governed,
  MANIFEST_PROFILE,
  type Manifests,
  type Presentation,
  type VerifiedManifest,
} from './manifests.ts';
import { spendManifest } from './store.ts';
import type { ManifestTrust } from './trust.ts';

/** Ms that the Kernel's clock may be ahead of ours, so that a manifest counts from the moment it was made. */
const CLOCK_AHEAD_MS = 30_000;

export interface ManifestsOptions {
  readonly audit: AuditAppender;
  readonly trust: ManifestTrust;
  readonly clock: Clock;
  /** What a manifest must name as the one it is for. */
  readonly audience: string;
}

export function createManifests({ audit, trust, clock, audience }: ManifestsOptions): Manifests {
  async function present<T>(
    presented: unknown,
    at: Presentation,
    useCase: (manifest: VerifiedManifest | undefined) => Promise<T>,
  ): Promise<T> {
    try {
      return await useCase(presented === undefined ? undefined : await verify(presented));
    } catch (error) {
      if (error instanceof ManifestError) await reject(presented, at, error);
      throw error;
    }
  }

  /** In the order of what each check rests on: nothing of a manifest is believed before its signature, and no time before that. */
  async function verify(presented: unknown): Promise<VerifiedManifest> {
    const envelope = readEnvelope(presented);
    const { manifest, bytes, signature, manifestSignatureId: signerId, issuedAt, expiresAt } = envelope;
    const manifestHash = sha256Digest(bytes);
    if (envelope.manifestHash !== manifestHash) {
      throw new ManifestError('MANIFEST_HASH_MISMATCH', 'manifestHash is not the digest of the manifest');
    }
    const now = clock();
    const key = await trust.keyOf(signerId, now);
    if (!(await verifySignatureAsync(key, bytes, signature))) {
      throw new ManifestError(
        'MANIFEST_SIGNATURE_INVALID',
        `the signature is not one of ${signerId} over the manifest`,
      );
    }
    if (manifest.audience !== audience) {
      throw new ManifestError('MANIFEST_WRONG_PURPOSE', 'the manifest names another audience');
    }
    requireInTime({ issuedAt, expiresAt }, now);
    const { manifestId, agentConfigHash } = manifest;
    return { manifestId, manifestHash, signerId, agentConfigHash, issuedAt, expiresAt };
  }

  async function accept(scope: UnitScope, manifest: VerifiedManifest | undefined, governed: Governed): Promise<void> {
    const { workspaceId, profiles, specHash, agentId, templateId, caller } = governed;
    if (manifest === undefined) {
      if (!profiles.includes(MANIFEST_PROFILE)) return;
      throw new ManifestError('MANIFEST_REQUIRED', `the profile ${MANIFEST_PROFILE} needs a manifest in force`);
    }
    const { manifestId, manifestHash, signerId, agentConfigHash, expiresAt } = manifest;
    if (agentConfigHash !== specHash) {
      throw new ManifestError('MANIFEST_HASH_MISMATCH', `the manifest is for another spec than ${specHash}`);
    }
    // It may have waited for its turn.
    requireInTime(manifest, scope.now);
    await trust.requireStill(scope.trx, signerId, scope.now);
    if (!(await spendManifest(scope.trx, workspaceId, manifest, new Date(scope.now)))) {
      throw new ManifestError('MANIFEST_REPLAYED', `the manifest ${manifestId} was accepted before`);
    }
    scope.append({
      type: 'manifest.accepted',
      actor: { id: caller.id, kind: caller.kind },
      payload: {
        manifestId,
        manifestHash,
        signerId,
        agentConfigHash,
        ...(agentId === undefined ? {} : { agentId }),
        ...(templateId === undefined ? {} : { templateId }),
        expiresAt: new Date(expiresAt).toISOString(),
      },
      traceId: caller.traceId,
    });
  }

  /** As a denied start it is told when it can be signed, and is 503 until then. */
  function reject(presented: unknown, { workspaceId, caller }: Presentation, { code }: ManifestError): Promise<void> {
    const { id, kind, traceId } = caller;
    const payload = { ...namesIn(presented), code };
    return audit.commit({
      chain: workspaceId,
      work: async ({ append }) => {
        append({ type: 'manifest.rejected', actor: { id, kind }, payload, traceId });
      },
    });
  }

  return { present, accept, reject };
}

function requireInTime({ issuedAt, expiresAt }: Pick<VerifiedManifest, 'issuedAt' | 'expiresAt'>, now: number): void {
  if (now >= expiresAt || issuedAt >= expiresAt)
    throw new ManifestError('MANIFEST_EXPIRED', 'the manifest has expired');
  if (now < issuedAt - CLOCK_AHEAD_MS) {
    throw new ManifestError('MANIFEST_EXPIRED', 'the manifest is not in force yet: issuedAt is in the future');
  }
}
