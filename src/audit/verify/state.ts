import { createHash } from 'node:crypto';
import { open, readFile, rename } from 'node:fs/promises';

import type { ResumePoint } from './chain-check.ts';
import { VerifyError } from './errors.ts';
import { GrowingTree } from './growing-tree.ts';
import type { Registry } from './registry.ts';

const HASH = /^[0-9a-f]{64}$/;

/** What an earlier verification found good: of each chain the last event, its hash and the tree up to it. */
export type VerifiedChains = ReadonlyMap<string, ResumePoint>;

/** The state in the file; undefined when there is no file. Throws VerifyError STATE for one that is of another form or registry. */
export async function readState(path: string, registry: Registry): Promise<VerifiedChains | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined;
    throw new VerifyError('UNREADABLE', `cannot read the state ${path}`, cause);
  }
  const state = parse(text);
  const chains = state?.['chains'];
  if (state?.['v'] !== 1 || !isRecord(chains)) throw misfit(path, 'it is no state of audit verify');
  if (state['registry'] !== registryDigest(registry)) {
    throw misfit(path, 'the registry of signers is another one since; what was verified may be judged otherwise now');
  }
  return new Map(Object.entries(chains).map(([chain, point]) => [chain, pointOf(path, chain, point)]));
}

/** Writes the state whole or not at all. Throws VerifyError UNREADABLE when it cannot be written. */
export async function writeState(path: string, registry: Registry, chains: VerifiedChains): Promise<void> {
  const points = Array.from(chains, ([chain, { seq, hash, tree }]) => [
    chain,
    { seq, hash, tree: tree.toString('base64') },
  ]);
  const state = { v: 1, registry: registryDigest(registry), chains: Object.fromEntries(points) };
  const unfinished = `${path}.unfinished`;
  try {
    const file = await open(unfinished, 'w', 0o600);
    try {
      await file.writeFile(`${JSON.stringify(state)}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(unfinished, path);
  } catch (cause) {
    throw new VerifyError('UNREADABLE', `cannot write the state ${path}`, cause);
  }
}

/** Not known when the first states were written: where nothing is said, a state of then still fits. */
const LATER_MEMBERS = new Set(['trustedUpTo', 'validFromSize', 'validToSize', 'replaces']);

/** Every member of every signer counts: a signature that was good may not be so under another registry. */
function registryDigest(registry: Registry): string {
  const entries = Array.from(registry.values()).sort((a, b) => (a.signerId < b.signerId ? -1 : 1));
  const lines = entries.map((entry) => {
    const members = Object.entries(entry).filter(([name, value]) => value !== null || !LATER_MEMBERS.has(name));
    return JSON.stringify(members.sort(([a], [b]) => (a < b ? -1 : 1)));
  });
  return `sha256:${createHash('sha256').update(lines.join('\n')).digest('hex')}`;
}

function pointOf(path: string, chain: string, value: unknown): ResumePoint {
  const { seq, hash, tree } = isRecord(value) ? value : {};
  const bytes = typeof tree === 'string' ? Buffer.from(tree, 'base64') : Buffer.alloc(0);
  const valid = typeof seq === 'number' && Number.isSafeInteger(seq) && seq > 0;
  if (!valid || typeof hash !== 'string' || !HASH.test(hash) || GrowingTree.from(bytes)?.size !== seq) {
    throw misfit(path, `what it says of chain ${chain} is not of its form`);
  }
  return { seq, hash, tree: bytes };
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function misfit(path: string, why: string): VerifyError {
  return new VerifyError('STATE', `the state ${path} does not fit: ${why}. Verify without it, from the beginning`);
}
