import { sql } from 'kysely';
import type { Write } from '../audit/append.ts';
import { SYSTEM_CHAIN } from '../ids.ts';
import type { Trx } from '../storage/database.ts';
import { voidRoutine } from '../storage/session.ts';
import type { KeptAnswer } from './answer.ts';
import type { RequestKey } from './key.ts';
import type {} from './table.ts';

/** Ms; contract §4. */
const KEPT_MS = 86_400_000;
/** The item that is the answer as a whole. */
export const WHOLE = '';

export interface KeptRow extends KeptAnswer {
  readonly item: string;
  /** SHA-256 over the body of the request it answers. */
  readonly request: Buffer;
}

/** What is kept for a key at `now`, its items included. */
export async function findKept(trx: Trx, key: RequestKey, now: number): Promise<KeptRow[]> {
  return trx
    .selectFrom('idempotency_keys')
    .select(['item', 'request', 'status', 'headers', 'body'])
    .where('workspace_id', '=', key.workspaceId)
    .where('scope', '=', key.scope)
    .where('expires_at', '>', new Date(now))
    .execute();
}

/** Keeps an answer; false, and nothing stored, when one is kept already. An expired one is no obstacle. */
export async function insertKept(
  trx: Trx,
  key: RequestKey,
  item: string,
  answer: KeptAnswer,
  now: number,
): Promise<boolean> {
  const { workspaceId, scope, request } = key;
  const result = await inWorkspaceOf(key, trx, () =>
    sql`
      INSERT INTO idempotency_keys AS kept (workspace_id, scope, item, request, status, headers, body, expires_at)
      VALUES (${workspaceId}, ${scope}, ${item}, ${request}, ${answer.status}, ${JSON.stringify(answer.headers)},
        ${answer.body}, ${new Date(now + KEPT_MS)})
      ON CONFLICT (workspace_id, scope, item) DO UPDATE
        SET request = excluded.request, status = excluded.status, headers = excluded.headers, body = excluded.body,
          expires_at = excluded.expires_at
        WHERE kept.expires_at <= ${new Date(now)}`.execute(trx),
  );
  return result.numAffectedRows === 1n;
}

/** An answer to keep with the change of a prepared unit. */
export interface AnswerToKeep {
  readonly workspaceId: string;
  readonly key: RequestKey;
  readonly item: string;
  readonly answer: KeptAnswer;
  readonly now: number;
}

const KEEP = voidRoutine('keep_answers', 9);

/** As insertKept, for units that share a transaction, in one statement: it fails when one of them is kept already. */
export const answerWrite: Write<AnswerToKeep> = {
  store: (session, rows) =>
    session.call(KEEP, [
      rows.map((row) => row.workspaceId),
      rows.map((row) => row.key.scope.toString('hex')),
      rows.map((row) => row.item),
      rows.map((row) => row.key.request.toString('hex')),
      rows.map((row) => row.answer.status),
      rows.map((row) => JSON.stringify(row.answer.headers)),
      rows.map((row) => row.answer.body),
      rows.map((row) => new Date(row.now + KEPT_MS)),
      new Date(Math.max(...rows.map((row) => row.now))),
    ]),
};

/** Puts the final answer in the place of the one kept with the change. */
export async function replaceKept(trx: Trx, key: RequestKey, answer: KeptAnswer): Promise<void> {
  await trx
    .updateTable('idempotency_keys')
    .set({ status: answer.status, headers: JSON.stringify(answer.headers), body: answer.body })
    .where('workspace_id', '=', key.workspaceId)
    .where('scope', '=', key.scope)
    .where('item', '=', WHOLE)
    .execute();
}

/** The oldest keys that are over, as castellan_system sees them. */
export async function findExpired(
  trx: Trx,
  now: Date,
  limit: number,
): Promise<{ workspace_id: string; scope: Buffer }[]> {
  return trx
    .selectFrom('idempotency_keys')
    .select(['workspace_id', 'scope'])
    .where('expires_at', '<=', now)
    .orderBy('expires_at')
    .limit(limit)
    .execute();
}

/** Forgets those of the keys that are over at `now`. */
export async function deleteExpired(
  trx: Trx,
  workspaceId: string,
  scopes: readonly Buffer[],
  now: Date,
): Promise<void> {
  await trx
    .deleteFrom('idempotency_keys')
    .where('workspace_id', '=', workspaceId)
    .where('scope', 'in', [...scopes])
    .where('expires_at', '<=', now)
    .execute();
}

/**
 * A request without a workspace in its path keeps its answer under `_system`, also when the unit that answers it creates
 * a workspace and its transaction is that workspace's: else the same key with another name would not be found.
 */
async function inWorkspaceOf<T>({ workspaceId }: RequestKey, trx: Trx, work: () => Promise<T>): Promise<T> {
  if (workspaceId !== SYSTEM_CHAIN) return work();
  const { rows } = await sql<{ own: string }>`SELECT current_setting('castellan.workspace') AS own`.execute(trx);
  const own = rows[0]?.own ?? SYSTEM_CHAIN;
  if (own === SYSTEM_CHAIN) return work();
  await sql`SELECT set_config('castellan.workspace', ${SYSTEM_CHAIN}, true)`.execute(trx);
  // When `work` fails the transaction is rolled back, and the setting with it: the unit that creates is alone in it.
  const result = await work();
  await sql`SELECT set_config('castellan.workspace', ${own}, true)`.execute(trx);
  return result;
}
