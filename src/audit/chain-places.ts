import { AuditError } from './errors.ts';

/** Each reads a whole chain. */
const MOST = 2;

/** Takes a place and returns what gives it back, however often that is called. OVERLOADED when there is none. */
export type TakePlace = (chain: string) => () => void;

/** Two at a time and one of each chain, so that no workspace keeps the others waiting; names for the refusal. */
export function createChainPlaces(one: string, others: string): TakePlace {
  const taken = new Set<string>();
  return (chain) => {
    if (taken.has(chain)) throw new AuditError('OVERLOADED', `${one} of this chain is under way`);
    if (taken.size >= MOST) throw new AuditError('OVERLOADED', `${others} are under way`);
    taken.add(chain);
    let held = true;
    return () => {
      if (held) taken.delete(chain);
      held = false;
    };
  };
}
