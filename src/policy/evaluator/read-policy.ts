import { failed } from './no-answer.ts';
import { estimateBytes, type LoadedPolicy } from './policy-cache.ts';
import { inspectArtifact, readData } from './wasm-artifact.ts';

/** An artifact made ready for the workers; rejects with POLICY_EVALUATION_FAILED for what is none of OPA's or needs what is not here. */
export async function readPolicy(hash: string, wasm: Buffer, workers: number): Promise<LoadedPolicy> {
  try {
    const module = await WebAssembly.compile(new Uint8Array(wasm));
    const facts = inspectArtifact(module);
    if (facts.missingBuiltins.length > 0) {
      throw new TypeError(`builtins not provided here: ${facts.missingBuiltins.join(', ')}`);
    }
    const bytes = estimateBytes(wasm.length, readData(module).length, workers);
    return { hash, module, facts, bytes, isSuspect: false };
  } catch (cause) {
    throw failed(cause instanceof Error ? cause.message : 'the policy cannot be loaded', cause);
  }
}
