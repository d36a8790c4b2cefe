import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { toExportLine } from '../../../src/audit/verify/export-line.ts';
import type { Row, Step } from './history.ts';
import type { TestSigner } from './keys.ts';
import { verifyHere } from './run.ts';

const SCRIPT = fileURLToPath(new URL('../second-language/verify.py', import.meta.url));
export const missing = spawnSync('python3', ['--version']).status !== 0 && 'python3 is not installed';

export interface Tap {
  testdir(files: Record<string, string>): string;
}

export interface Finding {
  chain: string;
  seq: number;
  class: string;
}

interface Beside {
  readonly registry: { readonly signers: readonly TestSigner[]; readonly version?: number };
  /** Entries of the log of checkpoints. */
  readonly log?: readonly Buffer[];
}

/** What the second verifier and ours say of an export. */
export async function secondAndOurs(t: Tap, rows: readonly Row[], { registry, log: entries }: Beside) {
  const lines = rows.map((row) => toExportLine({ ...row, payload: JSON.stringify(row.payload) }));
  const document = { ...registry, signers: registryOf(registry.signers) };
  const dir = t.testdir({ 'signers.json': JSON.stringify(document) });
  const [log, keys] = [join(dir, 'log.jsonl'), join(dir, 'signers.json')];
  writeFileSync(log, `${lines.join('\n')}\n`);
  if (entries !== undefined) {
    mkdirSync(join(dir, 'tile/entries/000.p'), { recursive: true });
    const bundle = entries.flatMap((entry) => [Buffer.from([entry.length >> 8, entry.length & 255]), entry]);
    writeFileSync(join(dir, `tile/entries/000.p/${entries.length}`), Buffer.concat(bundle));
  }
  const tiles = entries === undefined ? [] : [dir];
  const { stdout, stderr } = spawnSync('python3', [SCRIPT, log, keys, ...tiles], { encoding: 'utf8' });
  if (stdout === '') throw new Error(stderr);
  const argv = ['--export', log, '--signers', keys];
  const { report, verdict } = await verifyHere(entries === undefined ? argv : [...argv, '--log', dir]);
  return { second: JSON.parse(stdout), ours: { ...report, verdict } };
}

export function registryOf(all: readonly TestSigner[]): object[] {
  return all.map(({ privateKey, ...entry }) => entry);
}

/** The word of another signer for what the stolen key signed. */
export function reattesting(signer: TestSigner, rows: readonly Row[], other: object): Step {
  const doubtful = rows.filter(({ signerId }) => signerId === 'stolen');
  const [first, last] = [doubtful[0], doubtful.at(-1)];
  const payload = { signerId: 'stolen', from: first?.seq, to: last?.seq, hash: last?.hash, reason: 'compared' };
  return { signer, type: 'audit.range.reattested', payload: { ...payload, ...other } };
}
