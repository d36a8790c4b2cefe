import { SAMPLE_AGENT_ID } from '../../../src/certs/clients.ts';
import table from '../../identity/permissions.json' with { type: 'json' };
import type { Caller } from './client.ts';
import type { Operation } from './document.ts';

/** Identities of the development certificates that are of every workspace. */
const EVERYWHERE: ReadonlySet<Caller> = new Set(['kernel-admin', 'auditor']);
const EXISTING = new Set(['demo', 'other']);
const WORKSPACE_ID = /^[a-z0-9][a-z0-9-]{0,62}$/;

/** What the contract's table (§3) says: let in, refused with that status, or let in only to what is the agent's own. */
export type Access = 'in' | 'own' | 403 | 404;

/** Whether the caller may use the operation with these path parameters. */
export function expectedAccess(
  { permission }: Operation,
  who: Caller,
  params: Readonly<Record<string, string>>,
): Access {
  if (permission === 'authenticated') return 'in';
  const workspaceId = params['workspaceId'];
  if (workspaceId !== undefined) {
    const theirs = EVERYWHERE.has(who) || workspaceId === (who === 'outsider' ? 'other' : 'demo');
    if (!theirs || !WORKSPACE_ID.test(workspaceId)) return 404;
  }
  if (!isGranted(who, permission)) return workspaceId === undefined || EXISTING.has(workspaceId) ? 403 : 404;
  if (who !== 'agent') return 'in';
  const agentId = params['agentId'];
  if (agentId !== undefined) return agentId === SAMPLE_AGENT_ID ? 'in' : 404;
  return 'own';
}

function isGranted(who: Caller, permission: string): boolean {
  const row = table.find(({ permissions }) => permissions.includes(permission));
  if (row === undefined) throw new RangeError(`${permission} is not in the contract's table`);
  return row.roles.includes(who === 'outsider' ? 'operator' : who);
}
