import { AuditError } from '../../../src/audit/errors.ts';
import type { EventInput } from '../../../src/audit/event.ts';
import { SignerError } from '../../../src/crypto/signer.ts';
import { CALLER } from './honest-caller.ts';
import type { Units } from './honest-plan.ts';
import type { Replica } from './honest-replica.ts';
import type { HonestWorld } from './honest-world.ts';

type Given = Units[number]['events'][number];

const ID = '01934c3e-6c01-7000-8000-0000000000aa';
const DIGEST = `sha256:${'ab'.repeat(32)}`;

/** What may be written without a signature, then what may not. */
const KINDS: readonly ((text: { reason?: string }) => Omit<EventInput, 'actor'>)[] = [
  (text) => ({ type: 'agent.stopped', payload: { agentId: ID, ...text } }),
  ({ reason = '' }) => ({ type: 'agent.quarantined', payload: { agentId: ID, reason, wasRunning: true } }),
  () => ({ type: 'access.denied', payload: { code: 'FORBIDDEN', route: '/v1', reason: 'PERMISSION', count: 3 } }),
  () => ({
    type: 'agent.updated',
    payload: { agentId: ID, specVersion: 2, specHash: DIGEST, previousSpecHash: DIGEST },
  }),
  () => ({ type: 'policy.rejected', payload: { policySet: 'castellan', code: 'POLICY_INVALID', detail: 'é\n"' } }),
  () => ({ type: 'agent.deleted', payload: { agentId: ID, mode: 'sandbox', specVersion: 1, specHash: DIGEST } }),
];
const BRAKES = 3;

export interface Told {
  readonly signed: number;
  readonly deferred: number;
  readonly refused: number;
}

/** Commits units at once, as requests come in. Without a signer brakes are stored unsigned, and the others are refused. */
export async function commitAll(world: HonestWorld, replica: Replica, units: Units): Promise<Told> {
  const signs = world.signs(replica);
  const told = { signed: 0, deferred: 0, refused: 0 };
  await Promise.all(
    units.map(async ({ chain: number, brake, events }) => {
      const chain = nameOf(number);
      if (!world.chains.has(chain)) return;
      const commit = replica.audit.commit({
        chain,
        brake,
        work: async ({ append }) => {
          for (const event of events) append(inputOf(event, brake));
        },
      });
      if (signs || brake) {
        await commit;
        told[signs ? 'signed' : 'deferred'] += 1;
      } else {
        const error = await commit.then(
          () => undefined,
          (reason: unknown) => reason,
        );
        const isRefusal =
          error instanceof SignerError || (error instanceof AuditError && error.code === 'AUDIT_UNAVAILABLE');
        if (!isRefusal) throw new Error('a unit without a signer was not refused', { cause: error });
        told.refused += 1;
      }
    }),
  );
  return told;
}

export function nameOf(chain: number): string {
  return `h-${chain}`;
}

/** Workspaces begin when they are first written to, if anything can be signed. */
export async function ensureChains(world: HonestWorld, units: Units): Promise<void> {
  for (const { chain } of units) await ensureChain(world, chain);
}

/** Whether it is there. */
export async function ensureChain(world: HonestWorld, number: number): Promise<boolean> {
  const workspaceId = nameOf(number);
  if (world.chains.has(workspaceId)) return true;
  const by = world.signing(number % 2);
  if (by === undefined) return false;
  await by.workspaces.create({ workspaceId }, CALLER);
  return true;
}

function inputOf({ kind, actor, reason }: Given, brake: boolean): EventInput {
  const make = KINDS[brake ? kind % BRAKES : kind];
  if (make === undefined) throw new Error(`no kind ${kind}`);
  return { ...make(reason === undefined ? {} : { reason }), actor: { id: `p-${actor}`, kind: 'human' } };
}
