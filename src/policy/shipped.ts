import { readdir, readFile } from 'node:fs/promises';

import { bundleFromFiles, type PolicyBundle } from './bundle.ts';

const POLICIES = new URL('../../policies/', import.meta.url);

/** The policy of new workspaces: its sources in `policies/`, and what `npm run policies:build` made of them. */
export const SHIPPED = {
  policySet: 'default',
  wasm: new URL('dist/default.wasm', POLICIES),
  manifest: new URL('dist/default.json', POLICIES),
} as const;

/** What is in `policies/dist/default.json`. */
export interface ShippedManifest {
  readonly policySet: string;
  readonly hash: string;
  readonly wasmSha256: string;
  readonly compilerVersion: string;
  readonly packages: readonly string[];
  /** What the compiler was asked for. */
  readonly entrypoints: readonly string[];
}

/** The sources of the shipped policy, tests apart. */
export async function readShippedBundle(): Promise<PolicyBundle> {
  const names = (await readdir(POLICIES)).filter((name) => name.endsWith('.rego') || name === 'data.json');
  const files = await Promise.all(names.map(async (name) => [name, await readFile(new URL(name, POLICIES))] as const));
  return bundleFromFiles(new Map(files));
}
