import { readFile } from 'node:fs/promises';

import { sha256Digest } from '../crypto/digest.ts';
import { parseBundle } from './bundle.ts';
import { createPolicyCompiler } from './compiler.ts';
import { PolicyEvaluationError } from './errors.ts';
import { createWasmEngine } from './evaluator/wasm-pool.ts';
import type { NewPolicy, PolicyBundle } from './head-change.ts';
import type { PolicyPluginOptions } from './plugin.ts';
import { policyBytes } from './policy-hash.ts';
import { readShippedBundle, SHIPPED, type ShippedManifest } from './shipped.ts';

export type PolicyParts = Pick<PolicyPluginOptions, 'engine' | 'parse' | 'compile' | 'shipped'>;

/** The engine, the compiler and the shipped policy. The OPA binary is looked for at the first compilation. */
export async function openPolicyParts(options: {
  opaBin: string | undefined;
  /** Where `opa` is looked for last. */
  searchPath: string | undefined;
}): Promise<PolicyParts> {
  const compiler = createPolicyCompiler({ configured: options.opaBin, path: options.searchPath });
  return {
    engine: createWasmEngine(),
    parse: async (policySet, bundle) => canonicalBundle(policySet, await parseBundle(bundle)),
    compile: (bundle) => compiler.compile(contentOf(bundle)),
    shipped: await readShipped(),
  };
}

function canonicalBundle(policySet: string, bundle: Parameters<typeof policyBytes>[1]): PolicyBundle {
  const bytes = policyBytes(policySet, bundle);
  return { policySet, hash: sha256Digest(bytes), bytes };
}

/** Modules and data as they will be stored: what is compiled is what is hashed. */
function contentOf(bundle: PolicyBundle): { modules: Record<string, string>; data: Record<string, unknown> } {
  return JSON.parse(bundle.bytes.toString('utf8'));
}

/** The policy of this release; sources, hash and wasm must agree, or nothing starts. */
async function readShipped(): Promise<NewPolicy> {
  const bundle = canonicalBundle(SHIPPED.policySet, await readShippedBundle());
  const wasm = await readFile(SHIPPED.wasm);
  const manifest: ShippedManifest = JSON.parse(await readFile(SHIPPED.manifest, 'utf8'));
  if (manifest.hash !== bundle.hash || manifest.wasmSha256 !== sha256Digest(wasm)) {
    throw new PolicyEvaluationError('POLICY_UNAVAILABLE', 'the shipped policy and its compiled form do not agree');
  }
  const { compilerVersion, packages } = manifest;
  return { bundle, compiled: { wasm, compilerVersion, packages } };
}
