import { sql } from 'kysely';

import type { Denial } from '../../src/admission/check.ts';
import type { FingerprintRow } from '../../src/admission/store.ts';
import type { AdmissionSubject } from '../../src/admission/subject.ts';
import type { StartAdmission } from '../../src/agents/start.ts';
import type { Trx } from '../../src/storage/database.ts';
import type { KeyedRow } from '../../src/storage/keyed-read.ts';
import type { Storage } from '../../src/storage/storage.ts';

const CHECKS = [
  'sandboxExpiry',
  'sandboxContainment',
  'proofPresence',
  'specHash',
  'policyHashBinding',
  'signerRevocation',
  'signature',
];

interface Row {
  mode: 'sandbox' | 'governed';
  status: string;
  name: string;
  expires_at: Date | null;
  desired_replicas: number;
  spec_version: number;
  spec_hash: string;
  quarantine: AdmissionSubject['quarantine'];
  invalidation: AdmissionSubject['invalidation'];
  version: number;
  spec: unknown;
  spec_bytes: Buffer | null;
  envelope: unknown;
  proof_policy_hash: string | null;
  state: 'active' | 'suspended';
  policy_hash: string;
  fingerprint: string;
}

/** What a test says about every agent, beside its rows. */
export interface Control {
  denies: Denial[];
  /** Runs after each evaluation: the moment between the two phases of a start. */
  afterEvaluate: () => Promise<unknown>;
}

/**
 * The smallest admission over the real rows: it denies a quarantined agent, a suspended workspace and what the test
 * asks for. The two phases of a start are tested with it without a policy engine.
 */
export function rowAdmission(storage: Storage, control: Control, clock: () => number): StartAdmission {
  return {
    load: async (workspaceId, agentId, actor) => {
      const row = await storage.read(workspaceId, (trx) => find(trx, workspaceId, agentId));
      if (row === undefined) return undefined;
      return {
        workspaceId,
        agentId,
        mode: row.mode,
        status: row.status,
        name: row.name,
        expiresAt: row.expires_at,
        desiredReplicas: row.desired_replicas,
        specVersion: row.spec_version,
        specHash: row.spec_hash,
        spec: row.spec_bytes === null ? null : { json: row.spec, bytes: row.spec_bytes, hash: row.spec_hash },
        proof:
          row.proof_policy_hash === null
            ? null
            : {
                id: agentId,
                envelope: row.envelope,
                specVersion: row.spec_version,
                specHash: row.spec_hash,
                policyHash: row.proof_policy_hash,
                promotionId: agentId,
                expiresAt: new Date(clock() + 1000),
              },
        everProved: row.proof_policy_hash !== null,
        signer: null,
        policy: { policySet: 'default', version: 1, hash: row.policy_hash, activationSeq: 2 },
        shadowPolicyHash: null,
        invalidation: row.invalidation,
        quarantine: row.quarantine,
        workspaceState: row.state,
        killSwitch: null,
        rowVersion: row.version,
        fingerprint: row.fingerprint,
        actor,
        now: clock(),
      };
    },
    evaluate: async (subject) => {
      const denies = [...control.denies, ...ownDenies(subject)];
      await control.afterEvaluate();
      const outcome = denies.length === 0 ? ('pass' as const) : ('deny' as const);
      return {
        allowed: denies.length === 0,
        checks: CHECKS.map((check) => ({ check, outcome })),
        interceptors: [],
        denies,
      };
    },
    fingerprintLookup: {
      read: async (session, keys) => {
        const found = new Map<string, FingerprintRow & KeyedRow>();
        for (const { chain, id } of keys) {
          const { trx, end } = await session.enter(chain);
          const row = await find(trx, chain, id);
          end();
          if (row === undefined) continue;
          const { fingerprint, policy_hash } = row;
          found.set(`${chain} ${id}`, { workspace: chain, id, fingerprint, policy_hash });
        }
        return found;
      },
    },
  };
}

function ownDenies(subject: AdmissionSubject): Denial[] {
  const denies: Denial[] = [];
  if (subject.status === 'quarantined') {
    denies.push({ code: 'AGENT_QUARANTINED', reason: 'quarantined', severity: 'DENY', check: 'quarantine' });
  }
  if (subject.workspaceState === 'suspended') {
    denies.push({ code: 'WORKSPACE_SUSPENDED', reason: 'suspended', severity: 'DENY', check: 'workspace' });
  }
  if (subject.expiresAt !== null && subject.expiresAt.getTime() <= subject.now) {
    denies.push({ code: 'SANDBOX_EXPIRED', reason: 'expired', severity: 'DENY', check: 'sandboxExpiry' });
  }
  return denies;
}

async function find(trx: Trx, workspaceId: string, agentId: string): Promise<Row | undefined> {
  const { rows } = await sql<Row>`
    SELECT a.*, s.spec, s.spec_bytes, p.envelope, p.policy_hash AS proof_policy_hash, w.state, h.hash AS policy_hash,
      concat_ws('.', a.xmin, s.xmin, p.xmin, w.xmin, h.xmin) AS fingerprint
    FROM agents a
    JOIN workspaces w ON w.id = a.workspace_id
    JOIN policy_heads h ON h.workspace_id = a.workspace_id
    LEFT JOIN agent_specs s ON s.workspace_id = a.workspace_id AND s.agent_id = a.id AND s.version = a.spec_version
    LEFT JOIN agent_proofs p ON p.workspace_id = a.workspace_id AND p.id = a.proof_id
    WHERE a.workspace_id = ${workspaceId} AND a.id = ${agentId}`.execute(trx);
  return rows[0];
}
