import type { ArtifactFacts } from './wasm-artifact.ts';

/** OPA's heap needs several times the bytes of the JSON it was read from. */
const DATA_FACTOR = 8;
const CODE_FACTOR = 2;
const INSTANCE_BYTES = 262_144;

/** A policy the workers may have. */
export interface LoadedPolicy {
  readonly hash: string;
  readonly module: WebAssembly.Module;
  readonly facts: ArtifactFacts;
  readonly bytes: number;
  /** A worker died of it or while it had it: replaced workers get it only when it is asked for. */
  isSuspect: boolean;
}

/** What one policy costs in all workers, roughly. */
export function estimateBytes(wasmBytes: number, dataBytes: number, workers: number): number {
  return workers * (INSTANCE_BYTES + wasmBytes * CODE_FACTOR + dataBytes * DATA_FACTOR);
}

/** Policies by hash, least recently used first, within a number of bytes. */
export class PolicyCache {
  readonly #policies = new Map<string, LoadedPolicy>();
  readonly #maxBytes: number;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get size(): number {
    return this.#policies.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  has(hash: string): boolean {
    return this.#policies.has(hash);
  }

  peek(hash: string): LoadedPolicy | undefined {
    return this.#policies.get(hash);
  }

  /** The policy, from now on the most recently used. */
  use(hash: string): LoadedPolicy | undefined {
    const policy = this.#policies.get(hash);
    if (policy === undefined) return undefined;
    this.#policies.delete(hash);
    this.#policies.set(hash, policy);
    return policy;
  }

  /** Adds one and returns those pushed out; the new one stays whatever its size. */
  add(policy: LoadedPolicy): LoadedPolicy[] {
    this.remove(policy.hash);
    this.#policies.set(policy.hash, policy);
    this.#bytes += policy.bytes;
    const pushedOut: LoadedPolicy[] = [];
    for (const oldest of this.#policies.values()) {
      if (this.#bytes <= this.#maxBytes || oldest === policy) break;
      this.remove(oldest.hash);
      pushedOut.push(oldest);
    }
    return pushedOut;
  }

  remove(hash: string): LoadedPolicy | undefined {
    const policy = this.#policies.get(hash);
    if (policy !== undefined && this.#policies.delete(hash)) this.#bytes -= policy.bytes;
    return policy;
  }

  /** Most recently used first. */
  newest(count: number): LoadedPolicy[] {
    return [...this.#policies.values()].slice(-count).reverse();
  }
}
