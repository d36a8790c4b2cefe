import { coverDeferredEvents } from '../../../src/audit/plugin.ts';
import type { Happened, Takes } from './honest-caller.ts';
import { KEY_STEPS, vouchForAll } from './honest-keys.ts';
import { CHAINS, type Does, type Step, type StepOf } from './honest-plan.ts';
import { RETENTION_STEPS } from './honest-retention.ts';
import { commitAll, ensureChain, ensureChains, type Told } from './honest-units.ts';
import type { HonestWorld } from './honest-world.ts';

const STEPS: Takes<Does> = {
  ...KEY_STEPS,
  ...RETENTION_STEPS,

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
};

export function take(world: HonestWorld, step: Step): Happened {
  return one(world, step.does, step);
}

/** People have seen to it that nothing is left open: keys that sign, covers, words for what is in doubt, a last checkpoint. */
export async function settle(world: HonestWorld): Happened {
  const happened: string[] = [];
  for (const replica of world.replicas) replica.outage.on = false;
  while (!world.replicas.some((replica) => world.signs(replica))) {
    happened.push(...(await STEPS.rotate(world, { does: 'rotate', replica: 0, mode: 'event', emergency: true })));
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
  return STEPS[does](world, step);
}

function seen({ signed, deferred, refused: turnedAway }: Told): string[] {
  return [
    ...Array.from({ length: signed }, () => 'unit'),
    ...Array.from({ length: deferred }, () => 'unit without a signer'),
    ...Array.from({ length: turnedAway }, () => 'unit refused without a signer'),
  ];
}
