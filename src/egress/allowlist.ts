import { readName } from './target.ts';

/** Whether a name in the form of `readName` is allowed. */
export type Allowlist = (host: string) => boolean;

/**
 * Exact names, and `*.` for whatever is below a name but not for the name itself. An entry that is neither, such as an
 * address, `*` alone or a star elsewhere, allows nothing.
 */
export function createAllowlist(entries: readonly string[]): Allowlist {
  const exact = new Set<string>();
  const parents = new Set<string>();
  for (const entry of entries) {
    const below = entry.startsWith('*.');
    const name = readName(below ? entry.slice(2) : entry);
    if (name !== 'IP_LITERAL' && name !== 'BAD_TARGET') (below ? parents : exact).add(name);
  }
  return (host) => exact.has(host) || ancestors(host).some((name) => parents.has(name));
}

/** What a name is below, nearest first. */
function ancestors(host: string): string[] {
  const labels = host.split('.');
  return labels.slice(1).map((_, index) => labels.slice(index + 1).join('.'));
}
