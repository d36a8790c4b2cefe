import { type CursorScope, DEFAULT_LIMIT, decodeCursor, encodeCursor } from '../http/pagination.ts';
import { NotFound, ValidationFailed } from '../http/problem.ts';
import { queryTime } from '../http/query-time.ts';
import { isUuid } from '../ids.ts';
import type { Storage } from '../storage/storage.ts';
import type { DecisionReason } from './ledger.ts';
import type { DecisionListView, DecisionQuery, DecisionView } from './schema.ts';
import { type DecisionRow, findDecision, listDecisions } from './store.ts';

/** Reads the decision ledger. */
export interface DecisionService {
  /** By id ascending, that is in the order of time. Throws ValidationFailed for a bad cursor or time. */
  list(workspaceId: string, query: DecisionQuery): Promise<DecisionListView>;
  /** Throws NotFound, also when `onlyAgent` is given and the decision is about another agent. */
  get(workspaceId: string, decisionId: string, onlyAgent?: string): Promise<DecisionView>;
}

const DECISIONS = { ALLOW: 'approve', DENY: 'deny', REQUIRE_APPROVAL: 'escalate' } as const;

export function createDecisionService({ storage }: { storage: Storage }): DecisionService {
  async function list(workspaceId: string, query: DecisionQuery): Promise<DecisionListView> {
    const { cursor, limit = DEFAULT_LIMIT, ...filters } = query;
    const scope: CursorScope = { route: 'decisions', workspaceId, sort: 'id', filters };
    const after = cursor === undefined ? undefined : idIn(scope, cursor);
    const span = { from: queryTime('from', query.from), to: queryTime('to', query.to) };
    const rows = await storage.read(workspaceId, (trx) =>
      listDecisions(trx, workspaceId, { ...filters, ...span }, { after, limit: limit + 1 }),
    );
    const shown = rows.slice(0, limit);
    const last = shown.at(-1);
    return {
      decisions: shown.map(view),
      nextCursor: rows.length > limit && last !== undefined ? encodeCursor(scope, [last.id]) : null,
    };
  }

  async function get(workspaceId: string, decisionId: string, onlyAgent?: string): Promise<DecisionView> {
    if (!isUuid(decisionId)) throw new NotFound();
    const row = await storage.read(workspaceId, (trx) => findDecision(trx, workspaceId, decisionId));
    if (row === undefined || (onlyAgent !== undefined && row.agent_id !== onlyAgent)) throw new NotFound();
    return view(row);
  }

  return { list, get };
}

function view(row: DecisionRow): DecisionView {
  return {
    decisionId: row.id,
    kind: row.kind,
    agentId: row.agent_id,
    action: row.action,
    effect: row.effect,
    decision: DECISIONS[row.effect],
    tier: row.tier,
    reasons: reasonsOf(row.reasons),
    actor: { id: row.actor_id, kind: row.actor_kind },
    policyHash: row.policy_hash,
    specHash: row.spec_hash,
    ...(row.shadow === null ? {} : { shadow: row.shadow }),
    ...(row.trace_id === null ? {} : { traceId: row.trace_id }),
    auditSeq: row.audit_seq,
    createdAt: row.created_at.toISOString(),
  };
}

/** A damaged row shows no reasons; its codes and the audit event still tell. */
function reasonsOf(stored: unknown): DecisionReason[] {
  return Array.isArray(stored) ? stored.filter(isReason) : [];
}

function isReason(value: unknown): value is DecisionReason {
  if (typeof value !== 'object' || value === null) return false;
  return ['code', 'reason', 'severity', 'check'].every((name) => typeof Reflect.get(value, name) === 'string');
}

function idIn(scope: CursorScope, cursor: string): string {
  const [key] = decodeCursor(scope, cursor);
  if (typeof key === 'string' && isUuid(key)) return key;
  throw new ValidationFailed([{ pointer: '/query/cursor', detail: 'is not a cursor of this list' }]);
}
