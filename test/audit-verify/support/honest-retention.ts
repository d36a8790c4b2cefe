import { CALLER, reason, type Takes } from './honest-caller.ts';
import { ensureChain, nameOf } from './honest-units.ts';
import type { HonestWorld } from './honest-world.ts';

const ACTOR = { id: CALLER.id, kind: CALLER.kind };
const RETENTION = { actor: ACTOR, traceId: CALLER.traceId };

/** What goes of a log, and what must stay. */
export const RETENTION_STEPS: Takes<'erase' | 'hold' | 'approve' | 'remove'> = {
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
      await refused('LEGAL_HOLD', by.prunings.approve(chain, { to: 1, reason }, RETENTION));
      return ['refused by a hold'];
    }
    if (most <= before || chain === '_system') return [];
    await by.prunings.approve(chain, { to: most, reason }, RETENTION);
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

/** One of the chains that there are; sometimes that of what belongs to none. */
async function at(world: HonestWorld, number: number, pick: number): Promise<string | undefined> {
  if (pick % 16 === 0) return '_system';
  return (await ensureChain(world, number)) ? nameOf(number) : undefined;
}

async function refused(code: string, attempt: Promise<unknown>): Promise<void> {
  const error = await attempt.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  const found = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  if (found !== code) throw new Error(`not refused with ${code}`, { cause: error });
}
