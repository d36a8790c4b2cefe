import type { Principal } from '../identity/principal.ts';
import type { Role } from '../roles.ts';
import type { Ceiling } from './token-buckets.ts';

/** What may be saved up, as a multiple of a second's requests. */
const BURST = 2;

/** A ceiling of so many requests a second. */
export function ceilingOf(rate: number): Ceiling {
  return { rate, burst: Math.max(1, Math.ceil(rate * BURST)) };
}

/** The ceiling of a principal by its roles; undefined: the general one, which also one role without a ceiling has. */
export type RoleCeilings = (principal: Principal) => Ceiling | undefined;

export function createRoleCeilings(rates: Readonly<Partial<Record<Role, number>>>): RoleCeilings {
  const ceilings = new Map<string, Ceiling>(Object.entries(rates).map(([role, rate]) => [role, ceilingOf(rate)]));
  if (ceilings.size === 0) return () => undefined;
  return ({ roles }) => {
    let highest: Ceiling | undefined;
    for (const role of roles) {
      const ceiling = ceilings.get(role);
      if (ceiling === undefined) return undefined;
      if (highest === undefined || ceiling.rate > highest.rate) highest = ceiling;
    }
    return highest;
  };
}
