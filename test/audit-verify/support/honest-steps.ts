import { coverDeferredEvents } from '../../../src/audit/plugin.ts';
import { closeRanges } from '../../../src/signers/close-ranges.ts';
import { CHAINS, type Does, type Step, type StepOf } from './honest-plan.ts';
import type { HonestKey } from './honest-replica.ts';
import { commitAll, ensureChain, ensureChains, nameOf, type Told } from './honest-units.ts';
import { CALLER, type HonestWorld } from './honest-world.ts';

const ACTOR = { id: CALLER.id, kind: CALLER.kind };
const RETENTION = { actor: ACTOR, traceId: CALLER.traceId };
/** Not of a generated event: these texts are erased as the others are. */
const reason = 'as asked';

/** Names of what really happened, for the count. */
type Happened = Promise<readonly string[]>;
type Take<D extends Does> = (world: HonestWorld, step: StepOf<D>) => Happened;

const TAKE: { readonly [D in Does]: Take<D> } = {
  append: async (world, { replica, units }) => {
    await ensureChains(world, units);
    return seen(await commitAll(world, world.replica(replica), units));
  },

  appendBoth: async (world, { units, others }) => {
    await ensureChains(world, [...units, ...others]);
    const [first, second] = await Promise.all([
      commitAll(world, world.replica(0), units),
      commitAll(world, world.replica(1), others),
    ]);
    const shared = units.some(({ chain }) => others.some((other) => other.chain === chain));
    return [...seen(first), ...seen(second), ...(shared ? ['two replicas at one chain'] : [])];
  },

  outage: async (world, { replica, units, lasts }) => {
    const at = world.replica(replica);
    await ensureChains(world, units);
    at.outage.on = true;
    const happened = seen(await commitAll(world, at, units));
    at.outage.on = lasts === 0;
    return happened;
  },

  restart: async (world, { replica, mode, moves }) => {
    const { key, mode: before } = world.replica(replica);
    const isGood = world.states.get(key) === 'inForce' && !key.lost;
    const next = moves || !isGood ? newest(world) : key;
    // No key is left that could sign: one is asked for, and the next restart brings it.
    if (next === undefined) return TAKE.rotate(world, { does: 'rotate', replica, mode, emergency: true });
    await world.boot(replica, next, mode);
    const happened = ['restart'];
    if (before !== mode) happened.push('restart in the other mode');
    if (next !== key) happened.push('restart with another key');
    return happened;
  },

  rotate: async (world, { replica, mode, emergency }) => {
    const { pending } = world;
    if (pending === undefined) return requestRotation(world, replica, emergency);
    const { key } = world.replica(replica);
    await world.boot(replica, pending, mode);
    world.states.set(pending, 'inForce');
    world.pending = undefined;
    return ['rotation applied', ...(world.states.get(key) === 'compromised' ? ['rotation after a theft'] : [])];
  },

  lose: async (world, { replica }) => {
    world.replica(replica).key.lost = true;
    return ['key lost'];
  },

  retire: async (world, { revokes, pick }) => {
    const used = world.replicas.map(({ key }) => key);
    const idle = keys(world, 'inForce').filter((key) => !used.includes(key));
    const [key, by] = [idle[pick % idle.length], world.signing(pick % 2)];
    if (key === undefined || by === undefined) return [];
    if (revokes) await by.registry.revoke(key.signerId, reason, CALLER);
    else await by.registry.retire(key.signerId, CALLER);
    world.states.set(key, 'ended');
    return [revokes ? 'key revoked' : 'key retired'];
  },

  mark: async (world, { replica }) => {
    await world.setMark(replica);
    return [];
  },

  compromise: async (world, { replica, pick, late }) => {
    const candidates = [...keys(world, 'inForce'), ...keys(world, 'ended')];
    const key = candidates[pick % candidates.length];
    if (key === undefined) return [];
    const mark = late > 0 && world.mark !== undefined ? world.mark : await world.setMark(replica);
    await world.replica(replica).registry.compromise(key.signerId, { reason, trustedUpTo: mark.at }, CALLER);
    const doubtful = await world.distrust(key, mark);
    return [doubtful === 0 ? 'theft with nothing signed since' : 'theft with events in doubt'];
  },

  vouch: vouchForAll,

  closeRanges: async (world, { replica }) => {
    const { storage, audit, round } = world.replica(replica);
    if (!world.signs(world.replica(replica))) return [];
    await closeRanges({ storage, audit, round }, AbortSignal.timeout(60_000));
    return [];
  },

  round: async (world, { replica }) => {
    await world.replica(replica).round();
    return ['round'];
  },

  erase: async (world, { replica, chain: number, pick, byActor }) => {
    const [chain, by] = [await at(world, number, pick), world.signing(replica)];
    if (chain === undefined || by === undefined) return [];
    const model = world.chain(chain);
    const actorId = `p-${pick % 4}`;
    const some = Array.from(model.texts.keys()).filter((seq) => model.isThere(seq) && (seq + pick) % 3 === 0);
    if (!byActor && some.length === 0) return [];
    if (model.held) {
      await refused('LEGAL_HOLD', by.erase(chain, { actorId, reason }, RETENTION));
      return ['refused by a hold'];
    }
    const doomed = model.erasable((seq, wrote) => (byActor ? wrote === actorId : some.includes(seq)));
    const { values } = await by.erase(
      chain,
      { ...(byActor ? { actorId } : { events: some.slice(0, 1000) }), reason },
      RETENTION,
    );
    if (values !== doomed.length) throw new Error(`${values} texts erased, not ${doomed.length}`);
    for (const seq of doomed) model.erased.add(seq);
    return values === 0 ? [] : ['erasure'];
  },

  hold: async (world, { replica, chain: number }) => {
    const chain = nameOf(number);
    if (!(await ensureChain(world, number))) return [];
    const model = world.chain(chain);
    if (!model.held) {
      await world.replica(replica).holds.place(chain, reason, RETENTION);
      model.held = true;
      return ['hold'];
    }
    const by = world.signing(replica);
    if (by === undefined) return [];
    await by.holds.release(chain, reason, RETENTION);
    model.held = false;
    return ['hold released'];
  },

  approve: async (world, { replica, chain: number, pick }) => {
    const [chain, by] = [await at(world, number, pick), world.signing(replica)];
    if (chain === undefined || by === undefined) return [];
    const model = world.chain(chain);
    const covered = await by.covered(chain);
    const before = model.approvals.at(-1) ?? 0;
    // Few at once, so that a chain has more than one approval.
    const most = Math.min(covered?.size ?? 0, model.newest - 1, before + 1 + (pick % 12));
    if (model.held) {
      await refused('LEGAL_HOLD', by.prunings.approve(chain, { to: 1, reason }, ACTOR));
      return ['refused by a hold'];
    }
    if (most <= before || chain === '_system') return [];
    await by.prunings.approve(chain, { to: most, reason }, ACTOR);
    model.approvals.push(most);
    return ['removal approved'];
  },

  remove: async (world, { pick, all }) => {
    const prunable = (await world.removal.prunable()).filter(({ held, events }) => !held && events > 0);
    const one = prunable[pick % prunable.length];
    if (one === undefined) return [];
    const limit = all ? 1000 : 1 + (pick % 3);
    const removed = await world.removal.step(one.chain, one.to, limit);
    const expected = world.chain(one.chain).remove(one.to, limit);
    if (removed !== expected) throw new Error(`${removed} events of ${one.chain} removed, not ${expected}`);
    return [all ? 'removal' : 'removal of a part'];
  },
};

export function take(world: HonestWorld, step: Step): Happened {
  return one(world, step.does, step);
}

/** People have seen to it that nothing is left open: keys that sign, covers, words for what is in doubt, a last checkpoint. */
export async function settle(world: HonestWorld): Happened {
  const happened: string[] = [];
  for (const replica of world.replicas) replica.outage.on = false;
  while (!world.replicas.some((replica) => world.signs(replica))) {
    happened.push(...(await TAKE.rotate(world, { does: 'rotate', replica: 0, mode: 'event', emergency: true })));
  }
  const by = world.signing(0);
  if (by === undefined) throw new Error('nothing signs');
  for (let chain = 0; chain < CHAINS; chain += 1) await ensureChain(world, chain);
  await coverDeferredEvents(by.storage, by.audit);
  happened.push(...(await vouchForAll(world)));
  await by.round();
  return happened;
}

async function one<D extends Does>(world: HonestWorld, does: D, step: StepOf<D>): Happened {
  return TAKE[does](world, step);
}

async function requestRotation(world: HonestWorld, index: number, emergency: boolean): Happened {
  const { key: replaced } = world.replica(index);
  const by = emergency ? world.replica(index) : world.signing(index);
  if (by === undefined || (!emergency && world.states.get(replaced) !== 'inForce')) return [];
  const key = world.newKey();
  const { signerId, publicKeyPem: publicKey } = key;
  const request = {
    signerId,
    alg: 'Ed25519',
    purpose: 'audit',
    publicKey,
    replaces: replaced.signerId,
    reason,
  } as const;
  const isSigned = world.signs(by);
  await by.registry.rotate({ ...request, ...(emergency ? { emergency } : {}) }, CALLER);
  world.states.set(key, 'pending');
  world.pending = key;
  return ['rotation requested', ...(emergency ? [isSigned ? 'emergency' : 'emergency without a signer'] : [])];
}

async function vouchForAll(world: HonestWorld): Happened {
  const by = world.signing(0);
  if (by === undefined) return [];
  const happened: string[] = [];
  for (const [chain, model] of world.chains) {
    for (const signerId of model.doubtful.keys()) {
      if (!model.needsVouching(signerId)) continue;
      const { from, to, event } = await by.reattestations.reattest(chain, { signerId, reason }, CALLER);
      model.vouch(signerId, { seq: event.seq, by: by.key.signerId, from, to });
      happened.push('vouched for');
    }
  }
  return happened;
}

/** One of the chains that there are; sometimes that of what belongs to none. */
async function at(world: HonestWorld, number: number, pick: number): Promise<string | undefined> {
  if (pick % 16 === 0) return '_system';
  return (await ensureChain(world, number)) ? nameOf(number) : undefined;
}

function keys(world: HonestWorld, state: string): HonestKey[] {
  return Array.from(world.states).flatMap(([key, now]) => (now === state && !key.lost ? [key] : []));
}

function newest(world: HonestWorld): HonestKey | undefined {
  return keys(world, 'inForce').at(-1);
}

function seen({ signed, deferred, refused: turnedAway }: Told): string[] {
  return [
    ...Array.from({ length: signed }, () => 'unit'),
    ...Array.from({ length: deferred }, () => 'unit without a signer'),
    ...Array.from({ length: turnedAway }, () => 'unit refused without a signer'),
  ];
}

async function refused(code: string, attempt: Promise<unknown>): Promise<void> {
  const error = await attempt.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  const found = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  if (found !== code) throw new Error(`not refused with ${code}`, { cause: error });
}
