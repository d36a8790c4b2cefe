import { setTimeout as delay } from 'node:timers/promises';

import { type CursorScope, DEFAULT_LIMIT, decodeCursor, encodeCursor } from '../../http/pagination.ts';
import { ValidationFailed } from '../../http/problem.ts';
import type { Trx } from '../../storage/database.ts';
import type { Storage } from '../../storage/storage.ts';
import type { AgentKey } from '../store.ts';
import type { LogEntryView, LogListView, LogsQueryView } from './schema.ts';
import { droppedBytes, type LogRow, lastLogs, listLogs } from './store.ts';

/** Entries of a stream that are read at once, and ms between two looks for more. */
const PAGE = 100;
const LOOK_MS = 500;
/** ms of silence after which a comment keeps the connection open. */
const BEAT_MS = 15_000;
const BEAT = ': \n\n';
const EVENT_ID = /^\d{1,15}$/;

/** The output of agents, whichever replica runs them. Every unknown agent is NotFound. */
export interface AgentLogs {
  list(agent: AgentKey, query: LogsQueryView): Promise<LogListView>;
  /** Throws NotFound before anything is streamed. */
  follow(
    agent: AgentKey,
    from: { readonly lastEventId: string | undefined; readonly tail: number | undefined },
    signal: AbortSignal,
  ): Promise<AsyncGenerator<string>>;
}

export function createAgentLogs(parts: {
  storage: Pick<Storage, 'read'>;
  /** Throws NotFound unless the agent exists, as the transaction sees it. */
  requireAgent: (trx: Trx, workspaceId: string, agentId: string) => Promise<unknown>;
}): AgentLogs {
  const { storage, requireAgent } = parts;

  async function list(agent: AgentKey, query: LogsQueryView): Promise<LogListView> {
    const { tail, cursor, limit = DEFAULT_LIMIT } = query;
    if (tail !== undefined && cursor !== undefined) {
      throw new ValidationFailed([{ pointer: '/query/tail', detail: 'tail and cursor exclude each other' }]);
    }
    const scope: CursorScope = {
      route: 'agent-logs',
      workspaceId: agent.workspaceId,
      sort: 'id',
      filters: { agentId: agent.agentId },
    };
    const after = cursor === undefined ? 0 : afterIn(scope, cursor);
    return storage.read(agent.workspaceId, async (trx) => {
      await requireAgent(trx, agent.workspaceId, agent.agentId);
      const rows = tail === undefined ? await listLogs(trx, agent, after, limit) : await lastLogs(trx, agent, tail);
      const last = rows.at(-1)?.id ?? (after > 0 ? after : undefined);
      return {
        entries: rows.map(entryOf),
        nextCursor: last === undefined ? null : encodeCursor(scope, [Number(last)]),
        dropped: await droppedBytes(trx, agent),
      };
    });
  }

  async function follow(
    agent: AgentKey,
    { lastEventId, tail }: { readonly lastEventId: string | undefined; readonly tail: number | undefined },
    signal: AbortSignal,
  ): Promise<AsyncGenerator<string>> {
    const from = lastEventId === undefined ? 0 : resumed(lastEventId);
    const first = await storage.read(agent.workspaceId, async (trx) => {
      await requireAgent(trx, agent.workspaceId, agent.agentId);
      if (lastEventId !== undefined || tail === undefined) return { rows: [], after: from };
      // Also of none at all: what is older than the newest is not asked for.
      const rows = await lastLogs(trx, agent, Math.max(tail, 1));
      return { rows: rows.slice(rows.length - tail), after: Number(rows.at(-1)?.id ?? 0) };
    });
    return events(agent, first.rows, first.after, signal);
  }

  async function* events(
    agent: AgentKey,
    first: readonly LogRow[],
    from: number,
    signal: AbortSignal,
  ): AsyncGenerator<string> {
    let after = from;
    // Whoever waits sees that it is let in.
    yield BEAT;
    for (const row of first) yield eventOf(row);
    for (let silentMs = 0; !signal.aborted; silentMs += LOOK_MS) {
      const rows = await storage.read(agent.workspaceId, (trx) => listLogs(trx, agent, after, PAGE));
      for (const row of rows) yield eventOf(row);
      after = Number(rows.at(-1)?.id ?? after);
      if (rows.length > 0) silentMs = 0;
      else if (silentMs >= BEAT_MS) {
        silentMs = 0;
        yield BEAT;
      }
      if (rows.length < PAGE) await delay(LOOK_MS, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  return { list, follow };
}

function entryOf(row: LogRow): LogEntryView {
  return {
    id: String(row.id),
    at: row.at.toISOString(),
    launchId: row.launch_id,
    replica: row.replica,
    stream: row.stream,
    text: row.text,
  };
}

/** JSON has no bare line ends, which would end the field. */
function eventOf(row: LogRow): string {
  return `id: ${row.id}\nevent: output\ndata: ${JSON.stringify(entryOf(row))}\n\n`;
}

function resumed(lastEventId: string): number {
  if (EVENT_ID.test(lastEventId)) return Number(lastEventId);
  throw new ValidationFailed([{ pointer: '/headers/last-event-id', detail: 'is not the id of an entry' }]);
}

function afterIn(scope: CursorScope, cursor: string): number {
  const [key] = decodeCursor(scope, cursor);
  if (typeof key === 'number' && Number.isSafeInteger(key) && key >= 0) return key;
  throw new ValidationFailed([{ pointer: '/query/cursor', detail: 'is not a cursor of this list' }]);
}
