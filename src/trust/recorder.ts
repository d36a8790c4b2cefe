import { isDeepStrictEqual } from 'node:util';
import { sql } from 'kysely';

import type { AuditAppender, UnitScope } from '../audit/append.ts';
import type { EventInput } from '../audit/event.ts';
import { SYSTEM_CHAIN } from '../ids.ts';
import type { AppliedEvent } from './watched.ts';

const ACTOR = { id: 'castellan', kind: 'system' } as const;
/** Characters; an event has an end, and a file may have any number of mistakes. */
const MAX_PROBLEM = 1_000;
/** Events kept while they cannot be written; more changes than that in an outage are a script gone wrong. */
const MAX_WAITING = 1_000;

type TrustEvent = AppliedEvent | RefusedEvent;

interface RefusedEvent {
  readonly type: 'identity.reload.refused';
  readonly payload: { source: string; digest?: string; problem: string };
}

interface Waiting {
  readonly event: TrustEvent;
  /** Left out where the last one of its kind says the same. */
  readonly ifNew: boolean;
}

export interface TrustRecorder {
  /** `atStart`: nothing changed, unless the last one that was written says otherwise. */
  applied(events: readonly AppliedEvent[], atStart?: boolean): void;
  refused(refusal: { readonly source: string; readonly digest?: string; readonly problems: readonly string[] }): void;
  /** Writes what waits; what cannot be written now waits on. Rejects then. */
  flush(): Promise<void>;
}

/**
 * Writes down what came into force. A change of files cannot wait for the database, so its event may come later than it; one
 * that is lost with the process is written by the next start, which finds a difference.
 */
export function createTrustRecorder(options: {
  readonly audit: Pick<AuditAppender, 'commit'>;
  /** Told of events that were given up. */
  readonly dropped: (events: number) => void;
}): TrustRecorder {
  const { audit, dropped } = options;
  let waiting: Waiting[] = [];
  let writing: Promise<void> | undefined;

  function add(event: TrustEvent, ifNew: boolean): void {
    if (waiting.length < MAX_WAITING) waiting.push({ event, ifNew });
    else dropped(1);
  }

  async function write(): Promise<void> {
    while (waiting.length > 0) {
      const batch = waiting.slice();
      await audit.commit({
        chain: SYSTEM_CHAIN,
        work: async (scope: UnitScope) => {
          for (const { event, ifNew } of batch) if (!ifNew || (await isNew(scope, event))) scope.append(inputOf(event));
        },
      });
      waiting = waiting.slice(batch.length);
    }
  }

  return {
    applied: (events, atStart = false) => {
      for (const event of events) add(event, atStart);
    },
    refused: ({ source, digest, problems }) => {
      const problem = keepable(problems.join('; ').slice(0, MAX_PROBLEM));
      const payload = { source, ...(digest === undefined ? {} : { digest }), problem };
      add({ type: 'identity.reload.refused', payload }, false);
    },
    flush: () => {
      writing ??= write().finally(() => {
        writing = undefined;
      });
      return writing;
    },
  };
}

/** A problem may quote its file; what no event can hold would keep all that come after it from being written. */
function keepable(text: string): string {
  return text.toWellFormed().replaceAll('\0', '\ufffd');
}

function inputOf(event: TrustEvent): EventInput {
  return { ...event, actor: ACTOR };
}

async function isNew({ trx }: UnitScope, { type, payload }: TrustEvent): Promise<boolean> {
  const source = 'source' in payload ? payload.source : null;
  const last = await trx
    .selectFrom('audit_events')
    .select('payload')
    .where('chain', '=', SYSTEM_CHAIN)
    .where('event_type', '=', type)
    .where(sql<boolean>`payload ->> 'source' IS NOT DISTINCT FROM ${source}`)
    .orderBy('seq', 'desc')
    .limit(1)
    .executeTakeFirst();
  return !isDeepStrictEqual(standingOf(last?.payload), standingOf(payload));
}

/** What an event says of the state, without what came of the change. */
function standingOf(payload: unknown): unknown {
  return { ...Object(payload), closedConnections: undefined };
}
