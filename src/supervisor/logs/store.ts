import type { Trx } from '../../storage/database.ts';
import { voidRoutine } from '../../storage/session.ts';
import type { Storage } from '../../storage/storage.ts';
import type { AgentKey } from '../store.ts';
import type {} from '../table.ts';
import type { Piece } from './buffer.ts';

const APPEND = voidRoutine('agent_logs_append', 11);

export interface LogBatch {
  readonly pieces: readonly { readonly agent: AgentKey; readonly piece: Piece }[];
  /** Bytes that came and are not among the pieces. */
  readonly dropped: readonly { readonly agent: AgentKey; readonly bytes: number }[];
}

export interface LogStore {
  /** All of it or nothing; of each agent the oldest goes when there is more than may be kept. */
  append(batch: LogBatch): Promise<void>;
}

/** `keepBytes`: of one agent. */
export function createLogStore(storage: Pick<Storage, 'systemCall'>, keepBytes: number): LogStore {
  return {
    append: async ({ pieces, dropped }) => {
      await storage.systemCall(APPEND, [
        pieces.map(({ agent }) => agent.workspaceId),
        pieces.map(({ agent }) => agent.agentId),
        pieces.map(({ piece }) => new Date(piece.at)),
        pieces.map(({ piece }) => piece.launchId),
        pieces.map(({ piece }) => piece.replica),
        pieces.map(({ piece }) => piece.stream),
        pieces.map(({ piece }) => piece.text),
        dropped.map(({ agent }) => agent.workspaceId),
        dropped.map(({ agent }) => agent.agentId),
        dropped.map(({ bytes }) => bytes),
        keepBytes,
      ]);
    },
  };
}

export interface LogRow {
  id: number;
  at: Date;
  launch_id: string;
  replica: string;
  stream: 'stdout' | 'stderr';
  text: string;
}

const COLUMNS = ['id', 'at', 'launch_id', 'replica', 'stream', 'text'] as const;

/** Output after `after`, the oldest first. */
export async function listLogs(
  trx: Trx,
  { workspaceId, agentId }: AgentKey,
  after: number,
  limit: number,
): Promise<LogRow[]> {
  return trx
    .selectFrom('agent_logs')
    .select(COLUMNS)
    .where('workspace_id', '=', workspaceId)
    .where('agent_id', '=', agentId)
    .where('id', '>', after)
    .orderBy('id')
    .limit(limit)
    .execute();
}

/** The newest `count` pieces of output, the oldest of them first. */
export async function lastLogs(trx: Trx, { workspaceId, agentId }: AgentKey, count: number): Promise<LogRow[]> {
  const rows = await trx
    .selectFrom('agent_logs')
    .select(COLUMNS)
    .where('workspace_id', '=', workspaceId)
    .where('agent_id', '=', agentId)
    .orderBy('id', 'desc')
    .limit(count)
    .execute();
  return rows.reverse();
}

/** Bytes of output that were never stored. */
export async function droppedBytes(trx: Trx, { workspaceId, agentId }: AgentKey): Promise<number> {
  const row = await trx
    .selectFrom('agent_log_heads')
    .select('dropped')
    .where('workspace_id', '=', workspaceId)
    .where('agent_id', '=', agentId)
    .executeTakeFirst();
  return Number(row?.dropped ?? 0);
}
