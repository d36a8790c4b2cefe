import type { Does, StepOf } from './honest-plan.ts';
import type { HonestWorld } from './honest-world.ts';

export const CALLER = { id: 'p-0', kind: 'human', traceId: 'a'.repeat(32) } as const;
/** Given with whatever asks for one, and erased as other texts are. */
export const reason = 'as asked';

/** Names of what really happened, for the count. */
export type Happened = Promise<readonly string[]>;
export type Takes<D extends Does> = { readonly [One in D]: (world: HonestWorld, step: StepOf<One>) => Happened };
