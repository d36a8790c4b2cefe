import type { AuditAppender, Claim, UnitScope } from '../audit/append.ts';
import type { Actor } from '../audit/event.ts';
import { type Clock, timestamp } from '../clock.ts';
import { NotFound, ValidationFailed } from '../http/problem.ts';
import { claimAs } from '../idempotency/keyed-request.ts';
import { AccessDenied } from '../identity/errors.ts';
import type { Principal } from '../identity/principal.ts';
import { isUuid, newId } from '../ids.ts';
import type { Storage } from '../storage/storage.ts';
import type { ActiveElevation, ActiveElevations } from './active.ts';
import { AlreadyElevated } from './errors.ts';
import type { ElevateRequest, ElevationView } from './schema.ts';
import { type ElevationRow, findAnywhere, findElevation, findOpen, insertElevation, storeEnd } from './store.ts';
import type { EndCause } from './table.ts';

const MINUTE_MS = 60_000;
const SYSTEM: Actor = { id: 'castellan', kind: 'system' };

export interface ElevationCaller {
  readonly principal: Principal;
  readonly traceId: string;
}

/** Elevations for some minutes, each with its reason in the audit of the workspace it is for. */
export interface BreakGlass {
  /** Rejects with ValidationFailed above the longest time, AlreadyElevated, NotFound. Whether the caller may is the route's. */
  grant(request: ElevateRequest, caller: ElevationCaller, claim?: Claim<ElevationView>): Promise<ElevationView>;
  /** By its holder, or an administrator of its workspace; to everybody else it is NotFound. One that is over stays so. */
  end(elevationId: string, caller: ElevationCaller): Promise<ElevationView>;
  /** Has the use in the audit; false when the elevation is over, wherever it was ended. */
  use(elevation: ActiveElevation, request: UseOfElevation): Promise<boolean>;
  /** One round of the job: reads what is in force, and ends what is over. */
  refresh(): Promise<void>;
}

export interface UseOfElevation {
  readonly actor: Actor;
  /** Method and pattern, never the path. */
  readonly route: string;
  readonly permission: string;
  readonly traceId: string;
}

export function createBreakGlass(parts: {
  storage: Storage;
  audit: AuditAppender;
  clock: Clock;
  active: ActiveElevations;
  maxMinutes: number;
  observe: { granted(): void; used(): void };
}): BreakGlass {
  const { storage, audit, clock, active, maxMinutes, observe } = parts;

  async function grant(
    { workspaceId, minutes, justification }: ElevateRequest,
    { principal: { id, kind }, traceId }: ElevationCaller,
    claim?: Claim<ElevationView>,
  ): Promise<ElevationView> {
    if (kind === 'agent') throw new RangeError('no elevation is for agents');
    if (minutes > maxMinutes) {
      throw new ValidationFailed([{ pointer: '/minutes', detail: `must be at most ${maxMinutes}` }]);
    }
    const elevationId = newId();
    const granted = await audit.commit<ElevationRow>({
      chain: workspaceId,
      claim: claimAs(claim, viewOfNew),
      work: async (scope) => {
        const present = await findOpen(scope.trx, workspaceId, id);
        if (present !== undefined && Number(present.expires_at) > scope.now) throw new AlreadyElevated(present.id);
        // Its time was over, and the job has not come by.
        if (present !== undefined) await close(scope, present, 'expired', SYSTEM);
        const expiresAt = new Date(scope.now + minutes * MINUTE_MS);
        const payload = { elevationId, minutes, expiresAt: expiresAt.toISOString(), reason: justification };
        const { seq } = scope.append({ type: 'access.breakglass.granted', actor: { id, kind }, payload, traceId });
        const row: ElevationRow = {
          workspace_id: workspaceId,
          id: elevationId,
          principal_id: id,
          principal_kind: kind,
          granted_at: new Date(scope.now),
          expires_at: expiresAt,
          granted_seq: seq,
          ended_at: null,
          end_cause: null,
        };
        await insertElevation(scope.trx, row);
        return row;
      },
    });
    active.add(granted);
    observe.granted();
    return viewOfNew(granted);
  }

  async function end(elevationId: string, { principal, traceId }: ElevationCaller): Promise<ElevationView> {
    const known = isUuid(elevationId) ? await storage.system((trx) => findAnywhere(trx, elevationId)) : undefined;
    if (known === undefined) throw new NotFound();
    const cause = causeBy(principal, known);
    const { id, kind } = principal;
    const ended = await audit.commit({
      chain: known.workspace_id,
      work: async (scope) => {
        const row = await findElevation(scope.trx, known.workspace_id, elevationId);
        if (row === undefined) throw new NotFound();
        if (row.ended_at !== null) return view(row, scope.now);
        if (Number(row.expires_at) <= scope.now) return close(scope, row, 'expired', SYSTEM);
        return close(scope, row, cause, { id, kind }, traceId);
      },
    });
    active.remove(elevationId);
    return ended;
  }

  async function use(elevation: ActiveElevation, { actor, route, permission, traceId }: UseOfElevation) {
    const { id: elevationId, workspaceId } = elevation;
    const isInForce = await audit.commit({
      chain: workspaceId,
      work: async ({ trx, now, append }) => {
        const row = await findElevation(trx, workspaceId, elevationId);
        if (row === undefined || row.ended_at !== null || Number(row.expires_at) <= now) return false;
        append({ type: 'access.breakglass.used', actor, payload: { elevationId, route, permission }, traceId });
        return true;
      },
    });
    if (isInForce) observe.used();
    else active.remove(elevationId);
    return isInForce;
  }

  async function refresh(): Promise<void> {
    const over = await active.refresh(clock());
    const outcomes = await Promise.allSettled(over.map(expire));
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  /** Safe on every replica at once: it is decided under the lock of the chain. */
  async function expire({ workspaceId, id }: ActiveElevation): Promise<void> {
    await audit.commit({
      chain: workspaceId,
      work: async (scope) => {
        const row = await findElevation(scope.trx, workspaceId, id);
        if (row === undefined || row.ended_at !== null || Number(row.expires_at) > scope.now) return;
        await close(scope, row, 'expired', SYSTEM);
      },
    });
    active.remove(id);
  }

  return { grant, end, use, refresh };
}

async function close(
  { trx, now, append }: UnitScope,
  row: ElevationRow,
  cause: EndCause,
  actor: Actor,
  traceId?: string,
): Promise<ElevationView> {
  const at = new Date(now);
  await storeEnd(trx, row, { at, cause });
  append({
    type: 'access.breakglass.ended',
    actor,
    payload: { elevationId: row.id, cause },
    ...(traceId === undefined ? {} : { traceId }),
  });
  return view({ ...row, ended_at: at, end_cause: cause }, now);
}

/** Throws AccessDenied (404): to everybody else it is as if there were none. */
function causeBy(principal: Principal, row: ElevationRow): EndCause {
  if (principal.id === row.principal_id) return 'holder';
  const isAdministrator =
    principal.roles.includes('kernel-admin') &&
    (principal.workspaces === '*' || principal.workspaces.includes(row.workspace_id));
  if (isAdministrator) return 'administrator';
  throw AccessDenied.foreign({
    reason: 'FOREIGN_WORKSPACE',
    principalId: principal.id,
    method: 'DELETE',
    route: '/v1/break-glass/:elevationId',
    workspaceId: row.workspace_id,
  });
}

function viewOfNew(row: ElevationRow): ElevationView {
  return view(row, Number(row.granted_at));
}

/** An elevation as the API shows it: over from its last second on, also before the job has been there. */
export function view(row: ElevationRow, now: number): ElevationView {
  const { ended_at: endedAt, end_cause: endCause } = row;
  const isActive = endedAt === null && Number(row.expires_at) > now;
  return {
    elevationId: row.id,
    principalId: row.principal_id,
    workspaceId: row.workspace_id,
    role: 'kernel-admin',
    grantedAt: timestamp(Number(row.granted_at)),
    expiresAt: timestamp(Number(row.expires_at)),
    state: isActive ? 'active' : 'ended',
    ...(endedAt === null ? {} : { endedAt: timestamp(Number(endedAt)) }),
    ...(endCause === null ? {} : { endCause }),
    auditEvent: { chain: row.workspace_id, seq: row.granted_seq },
  };
}
