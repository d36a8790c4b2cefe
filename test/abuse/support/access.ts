import { SAMPLE_AGENT_ID } from '../../../src/certs/clients.ts';
import table from '../../identity/permissions.json' with { type: 'json' };
import type { Caller } from './client.ts';
import type { Operation } from './document.ts';
import type { Plan } from './plans.ts';
import type { Known } from './subjects.ts';

/** Identities of the development certificates that are of every workspace. */
const EVERYWHERE: ReadonlySet<Caller> = new Set(['kernel-admin', 'auditor']);
const EXISTING = new Set(['demo', 'other']);
const WORKSPACE_ID = /^[a-z0-9][a-z0-9-]{0,62}$/;

/**
 * What the contract's table (§3) says: let in, refused with that status, or let in only to what is the agent's own.
 * `hidden`: its workspace is found once the request has been read, and to this caller there is nothing.
 */
export type Access = 'in' | 'own' | 'hidden' | 403 | 404;

/** Whether the caller may use the operation for what the request names. */
export function expectedAccess({ permission }: Operation, plan: Plan, known: Known): Access {
  if (permission === 'authenticated') return 'in';
  const { who, params } = plan;
  const workspaceId = params['workspaceId'];
  if (workspaceId !== undefined && (!isTheirs(who, workspaceId) || !WORKSPACE_ID.test(workspaceId))) return 404;
  if (!isGranted(who, permission)) return workspaceId === undefined || EXISTING.has(workspaceId) ? 403 : 404;
  const found = foundWorkspace(plan, known);
  if (found !== undefined && !isTheirs(who, found)) return 'hidden';
  if (who !== 'agent') return 'in';
  const agentId = params['agentId'];
  if (agentId !== undefined) return agentId === SAMPLE_AGENT_ID ? 'in' : 404;
  return 'own';
}

/** Whether the workspace is one of the caller's. */
export function isTheirs(who: Caller, workspaceId: string): boolean {
  return EVERYWHERE.has(who) || workspaceId === (who === 'outsider' ? 'other' : 'demo');
}

/** The workspace of an agent that is named alone, or the one that the query or the body names; empty for none. */
function foundWorkspace({ params, target, body }: Plan, known: Known): string | undefined {
  const agentId = params['agent_id'];
  if (agentId !== undefined) return known.workspaceOf(agentId) ?? '';
  return new URL(target, 'https://localhost').searchParams.get('workspace_id') ?? namedIn(body);
}

function namedIn(body: Buffer | undefined): string | undefined {
  try {
    const { workspace_id: named } = Object(JSON.parse(String(body)));
    return typeof named === 'string' ? named : undefined;
  } catch {
    // It is refused for what it is.
    return undefined;
  }
}

function isGranted(who: Caller, permission: string): boolean {
  const row = table.find(({ permissions }) => permissions.includes(permission));
  if (row === undefined) throw new RangeError(`${permission} is not in the contract's table`);
  return row.roles.includes(who === 'outsider' ? 'operator' : who);
}
