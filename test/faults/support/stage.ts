import { moreAcknowledged } from './conduct.ts';
import type { OwnServer } from './harness.ts';
import type { Instance } from './launch.ts';
import { Skipped } from './skipped.ts';
import type { BootOptions, World } from './world.ts';

/** Acknowledged calls before a fault, so that there is something to lose, and after it has passed. */
const BEFORE = 20;
const AFTER = 12;

/** What a fault has before it: a service under load, which goes on all the while. */
export interface Stage {
  readonly world: World;
  /** The instance that the load goes to. */
  readonly instance: Instance;
  /** Starts another one, to which the load goes from then on. */
  next(options?: BootOptions): Promise<Instance>;
  /** The server of the database, when it may be harmed. */
  readonly server: OwnServer;
}

/**
 * A load, and one fault after the other in the midst of it; after each the service must work again by itself. At the end
 * everything that was left open is asked again.
 */
export async function playFaults(
  world: World,
  server: OwnServer | undefined,
  scenarios: readonly { readonly name: string; readonly fault: (stage: Stage) => Promise<void> }[],
): Promise<void> {
  let instance = await world.boot();
  const stage: Stage = {
    world,
    get instance() {
      return instance;
    },
    next: async (options) => {
      instance = await world.boot(options);
      return instance;
    },
    get server() {
      if (server === undefined) throw new Error('this scenario has no server of its own');
      return server;
    },
  };
  const load = world.load(() => instance);
  await moreAcknowledged(world, BEFORE);
  for (const { name, fault } of scenarios) {
    try {
      await fault(stage);
    } catch (error) {
      if (!(error instanceof Skipped) || scenarios.length === 1) throw error;
      world.note(`${name} was skipped: ${error.message}`);
    }
    await moreAcknowledged(world, AFTER, `a load after ${name}`);
  }
  await load.stop();
  await world.recovered(instance);
  await load.settle();
}
