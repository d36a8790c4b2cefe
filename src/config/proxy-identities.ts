import type { SettingsReader } from './read.ts';

/** SPIFFE-ID §2 within a trust domain: segments of letters, digits, dots, dashes and underscores. */
const PATH = /^(?:\/[A-Za-z0-9._-]+)+$/;
const DOTS = /\/\.{1,2}(?:\/|$)/;
/** Characters (SPIFFE-ID §2.3). */
const MAX_LENGTH = 2048;

/** Each must be one whole SPIFFE ID: a pattern would make a proxy of whoever can get a name that fits. */
export function checkProxyIdentities(read: SettingsReader, names: readonly string[], trustDomain: string): void {
  for (const name of names) {
    const why = problemOf(name, `spiffe://${trustDomain}`);
    if (why !== undefined) read.problem(`CASTELLAN_MESH_PROXY_IDENTITIES: ${JSON.stringify(name)} ${why}`);
  }
}

function problemOf(name: string, authority: string): string | undefined {
  const path = name.slice(authority.length);
  if (!name.startsWith(`${authority}/`)) return `is not in the trust domain (${authority}/…)`;
  if (name.length > MAX_LENGTH || !PATH.test(path) || DOTS.test(path)) return 'is not a SPIFFE ID';
  // An agent that is a proxy could be any other agent.
  return path === '/ws' || path.startsWith('/ws/') ? 'is in /ws/, which is kept for agents' : undefined;
}
