import type { Generated } from 'kysely';

interface SupervisorsTable {
  id: string;
  lease_until: Date;
  started_at: Date;
}

interface AgentClaimsTable {
  workspace_id: string;
  agent_id: string;
  supervisor_id: string;
  /** A bigint; the storage's parsers give a number. */
  token: number;
}

interface AgentLaunchesTable {
  workspace_id: string;
  agent_id: string;
  launch_id: string;
  replica: number;
  token: number;
}

interface AgentLogsTable {
  workspace_id: string;
  agent_id: string;
  id: Generated<number>;
  at: Date;
  launch_id: string;
  replica: string;
  stream: 'stdout' | 'stderr';
  text: string;
}

interface AgentLogHeadsTable {
  workspace_id: string;
  agent_id: string;
  bytes: number;
  dropped: number;
}

declare module '../storage/database.ts' {
  interface Database {
    supervisors: SupervisorsTable;
    agent_claims: AgentClaimsTable;
    agent_launches: AgentLaunchesTable;
    agent_logs: AgentLogsTable;
    agent_log_heads: AgentLogHeadsTable;
  }
}
