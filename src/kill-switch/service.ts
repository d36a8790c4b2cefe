import type { Caller } from '../agents/caller.ts';
import type { AuditAppender } from '../audit/append.ts';
import type { EventReceipt } from '../audit/event.ts';
import { NotFound } from '../http/problem.ts';
import { isUuid } from '../ids.ts';
import type { Trx } from '../storage/database.ts';
import type { Storage } from '../storage/storage.ts';
import type { Enforcement } from './enforce.ts';
import type { EngagedView, KillSwitchView } from './schema.ts';
import { chainExists, deleteSwitch, findSwitch, insertSwitch, type SwitchRow } from './store.ts';
import { type KillSwitchTarget, keyOf } from './target.ts';

/** Ms in which an engaged switch stops what runs before it answers; the rest is for the job. */
const PATIENCE_MS = 5000;

/** Keeps agents from starting, and stops those that run. */
export interface KillSwitches {
  /** Throws NotFound for a workspace or an agent that does not exist. */
  get(target: KillSwitchTarget): Promise<KillSwitchView>;
  /**
   * From its commit on no start of those it names is committed, on any replica; what runs is stopped. A brake. One that is
   * engaged stays as it is, without an event.
   */
  engage(target: KillSwitchTarget, reason: string, caller: Caller): Promise<EngagedView>;
  /** What was stopped stays so until somebody starts it. One that is not engaged stays as it is, without an event. */
  clear(target: KillSwitchTarget, reason: string, caller: Caller): Promise<KillSwitchView>;
}

export function createKillSwitches(parts: {
  storage: Storage;
  audit: AuditAppender;
  enforcement: Enforcement;
  /** Throws NotFound unless the agent exists, as the transaction sees it. */
  requireAgent: (trx: Trx, workspaceId: string, agentId: string) => Promise<unknown>;
  failed: (error: unknown) => void;
}): KillSwitches {
  const { storage, audit, enforcement, requireAgent, failed } = parts;

  async function get(target: KillSwitchTarget): Promise<KillSwitchView> {
    const key = keyOf(target);
    return storage.read(key.chain, async (trx) => {
      await requireTarget(trx, target);
      return view(target, await findSwitch(trx, key), null);
    });
  }

  async function engage(target: KillSwitchTarget, reason: string, caller: Caller): Promise<EngagedView> {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const key = keyOf(target);
    const engaged = await audit.commit({
      chain: key.chain,
      brake: true,
      work: async (scope) => {
        const { trx, append } = scope;
        await requireTarget(trx, target);
        const present = await findSwitch(trx, key);
        if (present !== undefined) return view(target, present, null);
        const receipt = append({
          type: 'killswitch.engaged',
          actor: caller,
          payload: { ...named(target), reason },
          traceId: caller.traceId,
        });
        const row = {
          workspace_id: key.chain,
          agent_id: key.agentId,
          engaged_at: new Date(scope.now),
          engaged_by: caller.id,
          seq: receipt.seq,
        };
        await insertSwitch(trx, row);
        if (target.scope !== 'fleet') await enforcement.page(scope, target.workspaceId, caller);
        return view(target, { ...row, reason }, receipt);
      },
    });
    return { ...engaged, stopping: !(await stopped(target, caller, signal)) };
  }

  /** True when nothing that the switch names runs any more. The switch holds, whatever comes of this: the job goes on. */
  async function stopped(target: KillSwitchTarget, caller: Caller, signal: AbortSignal): Promise<boolean> {
    try {
      const isTold =
        target.scope === 'fleet'
          ? await everyoneTold(caller, signal)
          : await enforcement.workspace(target.workspaceId, caller, signal);
      return isTold && (await enforcement.processesGone(target, signal));
    } catch (error) {
      failed(error);
      return false;
    }
  }

  async function everyoneTold(caller: Caller, signal: AbortSignal): Promise<boolean> {
    // A start that had read its rows before the switch was there is committed by then, and is found among what runs.
    const decided = await enforcement.writersGone(signal);
    return (await enforcement.everywhere(caller, signal)) && decided;
  }

  async function clear(target: KillSwitchTarget, reason: string, caller: Caller): Promise<KillSwitchView> {
    const key = keyOf(target);
    return audit.commit({
      chain: key.chain,
      work: async ({ trx, append }) => {
        await requireTarget(trx, target);
        if ((await findSwitch(trx, key)) === undefined) return view(target, undefined, null);
        await deleteSwitch(trx, key);
        const receipt = append({
          type: 'killswitch.cleared',
          actor: caller,
          payload: { ...named(target), reason },
          traceId: caller.traceId,
        });
        return view(target, undefined, receipt);
      },
    });
  }

  async function requireTarget(trx: Trx, target: KillSwitchTarget): Promise<void> {
    if (target.scope === 'fleet') return;
    if (!(await chainExists(trx, target.workspaceId))) throw new NotFound();
    if (target.scope === 'workspace') return;
    if (!isUuid(target.agentId)) throw new NotFound();
    await requireAgent(trx, target.workspaceId, target.agentId);
  }

  return { get, engage, clear };
}

function named(target: KillSwitchTarget): { scope: string; agentId?: string } {
  return target.scope === 'agent' ? { scope: target.scope, agentId: target.agentId } : { scope: target.scope };
}

function view(target: KillSwitchTarget, row: SwitchRow | undefined, auditEvent: EventReceipt | null): KillSwitchView {
  const about = {
    scope: target.scope,
    ...(target.scope === 'fleet' ? {} : { workspaceId: target.workspaceId }),
    ...(target.scope === 'agent' ? { agentId: target.agentId } : {}),
  };
  if (row === undefined) return { ...about, engaged: false, auditEvent };
  return {
    ...about,
    engaged: true,
    engagedAt: row.engaged_at.toISOString(),
    engagedBy: row.engaged_by,
    ...(row.reason === null ? {} : { reason: row.reason }),
    auditEvent,
  };
}
