import { quarantineOf, timeOf } from './damaged.ts';
import type { AgentView, RunStatusView, SpecVersionListView } from './schema.ts';
import type { AgentRow, StatusRow, VersionRow } from './store.ts';

/** An agent as the API shows it. */
export function agentView(row: AgentRow): AgentView {
  return {
    id: row.id,
    workspaceId: row.workspace_id,
    name: row.name,
    mode: row.mode,
    status: row.status,
    managed: row.managed,
    spec: row.spec_bytes === null ? null : storedJson(row.spec_bytes),
    specVersion: row.spec_version,
    specHash: row.spec_hash,
    expiresAt: row.expires_at === null ? null : timeOf(row.expires_at),
    desiredReplicas: row.desired_replicas,
    readyReplicas: row.ready_replicas,
    since: timeOf(row.since),
    ...(row.last_exit === null ? {} : { lastExit: row.last_exit }),
    ...(row.quarantine === null ? {} : { quarantine: quarantineOf(row.quarantine) }),
    ...(row.forked_from === null ? {} : { forkedFrom: row.forked_from }),
    createdAt: timeOf(row.created_at),
    createdBy: row.created_by,
    updatedAt: timeOf(row.updated_at),
  };
}

/** The run state of an agent as the API shows it. */
export function statusView(row: StatusRow): RunStatusView {
  return {
    agentId: row.id,
    mode: row.mode,
    status: row.status,
    managed: row.managed,
    desiredReplicas: row.desired_replicas,
    readyReplicas: row.ready_replicas,
    since: timeOf(row.since),
    ...(row.last_exit === null ? {} : { lastExit: row.last_exit }),
  };
}

/** One version of a spec as the API shows it. */
export function versionView(row: VersionRow): SpecVersionListView['versions'][number] {
  return {
    version: row.version,
    specHash: row.spec_hash,
    spec: storedJson(row.spec_bytes),
    createdAt: timeOf(row.created_at),
    createdBy: row.created_by,
  };
}

/** The value of stored bytes, or null: one row that somebody damaged must not hide the others in its list. */
function storedJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return null;
  }
}
