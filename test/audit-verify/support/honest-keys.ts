import { closeRanges } from '../../../src/signers/close-ranges.ts';
import { CALLER, type Happened, reason, type Takes } from './honest-caller.ts';
import type { HonestKey } from './honest-replica.ts';
import type { HonestWorld } from './honest-world.ts';

type KeySteps = 'restart' | 'rotate' | 'lose' | 'retire' | 'mark' | 'compromise' | 'vouch' | 'closeRanges' | 'round';

/** What happens to keys, and to the replicas that sign with them. */
export const KEY_STEPS: Takes<KeySteps> = {
  restart: async (world, { replica, mode, moves }) => {
    const { key, mode: before } = world.replica(replica);
    const isGood = world.states.get(key) === 'inForce' && !key.lost;
    const next = moves || !isGood ? newest(world) : key;
    // No key is left that could sign: one is asked for, and the next restart brings it.
    if (next === undefined) return KEY_STEPS.rotate(world, { does: 'rotate', replica, mode, emergency: true });
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
    const last = newest(world);
    if (last === undefined) return [];
    const happened: string[] = [];
    // Every replica moves on first.
    for (const [index, { key, mode }] of world.replicas.entries()) {
      if (key === last) continue;
      await world.boot(index, last, mode);
      happened.push('restart', 'restart with another key');
    }
    const idle = Array.from(world.states).flatMap(([key, state]) => (state === 'inForce' && key !== last ? [key] : []));
    const [key, by] = [idle[pick % idle.length], world.signing(pick % 2)];
    if (key === undefined || by === undefined) return happened;
    if (revokes) await by.registry.revoke(key.signerId, reason, CALLER);
    else await by.registry.retire(key.signerId, CALLER);
    world.states.set(key, 'ended');
    return [...happened, revokes ? 'key revoked' : 'key retired'];
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
    const by = world.signing(replica);
    if (by === undefined) return [];
    // What signed with the key has ended by the second time, unless another database of the server has work under way.
    for (let times = 0; times < 2; times += 1) await closeRanges(by, AbortSignal.timeout(60_000));
    return [];
  },

  round: async (world, { replica }) => {
    await world.replica(replica).round();
    return ['round'];
  },
};

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

/** A good key's word for all that is in doubt and has none. */
export async function vouchForAll(world: HonestWorld): Happened {
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

function keys(world: HonestWorld, state: string): HonestKey[] {
  return Array.from(world.states).flatMap(([key, now]) => (now === state && !key.lost ? [key] : []));
}

function newest(world: HonestWorld): HonestKey | undefined {
  return keys(world, 'inForce').at(-1);
}
