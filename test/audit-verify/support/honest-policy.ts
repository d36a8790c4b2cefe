import type { UnitScope } from '../../../src/audit/append.ts';
import type { Actor } from '../../../src/audit/event.ts';
import { sha256Digest } from '../../../src/crypto/digest.ts';
import { pointHead, storeVersion } from '../../../src/policy/head-change.ts';

/** A policy of a few bytes: only that an event binds it matters here, so that the event is never removed. */
export async function activateFirst(scope: UnitScope, workspaceId: string, actor: Actor): Promise<void> {
  const bytes = Buffer.from(`{"of":"${workspaceId}"}`);
  const bundle = { policySet: 'castellan', hash: sha256Digest(bytes), bytes };
  const compiled = { wasm: Buffer.from('wasm'), compilerVersion: '1', packages: ['castellan.promotion'] };
  const reason = 'as agreed';
  const version = await storeVersion(scope, workspaceId, { bundle, compiled }, reason, { actor });
  await pointHead(scope, workspaceId, {
    type: 'policy.activated',
    head: undefined,
    version,
    reason,
    caller: { actor },
  });
}
