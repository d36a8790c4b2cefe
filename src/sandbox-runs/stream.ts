import { setTimeout as delay } from 'node:timers/promises';

import type { ActiveRun } from './active.ts';
import { eventsAfter, type OutputEvent, type RunOutput, storedEvents } from './output.ts';
import type { RunReads } from './reads.ts';
import { fromStored } from './results.ts';
import type { RunKey } from './units.ts';
import { isFinal } from './verdict.ts';
import { endData } from './views.ts';

/** Ms of silence after which a comment keeps the connection open. */
const BEAT_MS = 15_000;
/** Ms between two looks at a run of another process. */
const LOOK_MS = 1000;

const BEAT = ': \n\n';

/**
 * The output of a run as server-sent events, from after the event `lastId`: as it comes where it runs in this process, all
 * at once when it has ended, also elsewhere. Ends with the run, with the signal, and for a reader so slow that what it
 * should get next is not kept any more.
 */
export type FollowRun = (key: RunKey, lastId: string | undefined, signal: AbortSignal) => AsyncGenerator<string>;

export function createFollowRun(parts: {
  readonly get: RunReads['get'];
  readonly active: ReadonlyMap<string, ActiveRun>;
}): FollowRun {
  const { get, active } = parts;

  return async function* follow(key, lastId, signal) {
    const run = active.get(key.runId);
    if (run !== undefined) yield* live(run.output, lastId, signal);
    else yield* stored(key, lastId, signal);
  };

  async function* stored(key: RunKey, lastId: string | undefined, signal: AbortSignal): AsyncGenerator<string> {
    for (let silentMs = 0; !signal.aborted; silentMs += LOOK_MS) {
      const row = await get(key.workspaceId, key.agentId, key.runId);
      if (isFinal(row.status)) {
        const kept = fromStored(row.results, row.results_digest);
        const events = storedEvents(kept?.commands ?? [], endData(row));
        for (const event of lastId === undefined ? events : eventsAfter(events, lastId)) yield text(event);
        return;
      }
      // At first, too: who waits sees that it is let in.
      if (silentMs % BEAT_MS === 0) yield BEAT;
      await delay(LOOK_MS, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }
}

async function* live(output: RunOutput, lastId: string | undefined, signal: AbortSignal): AsyncGenerator<string> {
  yield BEAT;
  let at = lastId === undefined ? output.first : output.after(lastId);
  while (!signal.aborted) {
    if (at < output.first) return;
    const event = output.at(at);
    if (event !== undefined) {
      at += 1;
      yield text(event);
    } else if (output.isOver) return;
    else if (!(await more(output, signal))) yield BEAT;
  }
}

/** False when nothing came for a while. */
async function more(output: RunOutput, signal: AbortSignal): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const come = () => resolve(true);
  const timer = setTimeout(() => resolve(false), BEAT_MS);
  const stop = output.listen(come);
  signal.addEventListener('abort', come, { once: true });
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    stop();
    signal.removeEventListener('abort', come);
  }
}

function text({ id, name, data }: OutputEvent): string {
  return `id: ${id}\nevent: ${name}\ndata: ${data}\n\n`;
}
