import type { OutputSink } from '../../runtime/isolation.ts';
import type { AgentKey } from '../store.ts';
import { type AgentBuffer, createAgentBuffer } from './buffer.ts';
import type { LogBatch, LogStore } from './store.ts';

/** Bytes of text that one write stores; with two writes a second what all agents of a replica say costs no more than that. */
const WRITE_BYTES = 1_048_576;

/** Takes the output of agents and writes it down in batches, however much comes. */
export interface LogWriter {
  sink(agent: AgentKey, launchId: string, replica: string): OutputSink;
  /** One bounded write of what waits. */
  flush(): Promise<void>;
}

export function createLogWriter(parts: { store: LogStore; now: () => number; clock: () => number }): LogWriter {
  const { store, now, clock } = parts;
  const buffers = new Map<string, { readonly agent: AgentKey; readonly buffer: AgentBuffer }>();
  /** What could not be stored, or did not fit into the write before. */
  let waiting: LogBatch = { pieces: [], dropped: [] };

  function bufferOf(agent: AgentKey): AgentBuffer {
    const key = `${agent.workspaceId} ${agent.agentId}`;
    const known = buffers.get(key);
    if (known !== undefined) return known.buffer;
    const buffer = createAgentBuffer({ now, clock });
    buffers.set(key, { agent, buffer });
    return buffer;
  }

  function collect(): LogBatch {
    const pieces = [...waiting.pieces];
    const dropped = [...waiting.dropped];
    let bytes = pieces.reduce((sum, { piece }) => sum + piece.text.length, 0);
    for (const [key, { agent, buffer }] of buffers) {
      if (buffer.isEmpty) {
        buffers.delete(key);
        continue;
      }
      // The rest keeps its turn: those that were served go to the end.
      if (bytes >= WRITE_BYTES) break;
      const taken = buffer.drain();
      buffers.delete(key);
      buffers.set(key, { agent, buffer });
      pieces.push(...taken.pieces.map((piece) => ({ agent, piece })));
      if (taken.dropped > 0) dropped.push({ agent, bytes: taken.dropped });
      bytes += taken.pieces.reduce((sum, { text }) => sum + text.length, 0);
    }
    return { pieces, dropped };
  }

  return {
    sink: (agent, launchId, replica) => (stream, chunk) => bufferOf(agent).take(launchId, replica, stream, chunk),
    flush: async () => {
      const batch = collect();
      if (batch.pieces.length === 0 && batch.dropped.length === 0) return;
      // Bounded while the database is away: what comes meanwhile is bounded by each agent's buffer.
      waiting = batch;
      await store.append(batch);
      waiting = { pieces: [], dropped: [] };
    },
  };
}
