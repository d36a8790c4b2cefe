import type { CompiledPolicy, PolicyBundle } from '../../src/policy/head-change.ts';
import { openPolicyParts, type PolicyParts } from '../../src/policy/parts.ts';

interface Teardown {
  teardown(clean: () => unknown): void;
}

/** Compiling is the slowest part of a test: each content is compiled once in a file. */
const compiled = new Map<string, Promise<CompiledPolicy>>();

/** The service's own engine, compiler and bundle reader, the engine ended with the test. */
export async function policyParts(t: Teardown): Promise<PolicyParts> {
  const parts = await openPolicyParts({ opaBin: undefined, searchPath: process.env['PATH'] });
  t.teardown(() => parts.engine.close());
  const compile = (bundle: PolicyBundle) => {
    const result = compiled.get(bundle.hash) ?? parts.compile(bundle);
    compiled.set(bundle.hash, result);
    return result;
  };
  return { ...parts, compile };
}
