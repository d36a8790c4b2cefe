import { mkdir, writeFile } from 'node:fs/promises';
import { sha256Digest } from '../src/crypto/digest.ts';
import { createPolicyCompiler } from '../src/policy/compiler.ts';
import { policyBytes } from '../src/policy/policy-hash.ts';
import { readShippedBundle, SHIPPED, type ShippedManifest } from '../src/policy/shipped.ts';

// The packaged OPA unless another is named: the committed wasm depends on its version.
const configured = process.env['CASTELLAN_OPA_BIN'];
const compiler = createPolicyCompiler({ configured, path: process.env['PATH'] });
const bundle = await readShippedBundle();

const failed = (await compiler.test(bundle)).filter(({ passed }) => !passed);
if (failed.length > 0) throw new Error(`tests of the policy fail: ${failed.map(({ name }) => name).join(', ')}`);

const { wasm, wasmSha256, compilerVersion, packages, entrypoints } = await compiler.compile(bundle);
const { policySet } = SHIPPED;
const hash = sha256Digest(policyBytes(policySet, bundle));
const manifest: ShippedManifest & { entrypoints: readonly string[] } = {
  policySet,
  hash,
  wasmSha256,
  compilerVersion,
  packages,
  entrypoints,
};
await mkdir(new URL('.', SHIPPED.wasm), { recursive: true });
await writeFile(SHIPPED.wasm, wasm);
await writeFile(SHIPPED.manifest, `${JSON.stringify(manifest, null, 2)}\n`);
process.stdout.write(`${policySet} ${hash} (${compilerVersion}, ${wasm.length} bytes of wasm)\n`);
