import { HOST_BUILTINS } from './builtins.ts';
import { POLICY_PACKAGES, type PolicyPackage } from './engine.ts';
import { instantiatePolicy } from './wasm-host.ts';

const DATA_SECTION = 'castellan.data';
const CUSTOM_SECTION_ID = 0;

/** What an artifact asks for and offers. */
export interface ArtifactFacts {
  /** Number of the entrypoint of each package. */
  readonly entrypoints: ReadonlyMap<PolicyPackage, number>;
  /** Builtins it calls that this host does not have, sorted. */
  readonly missingBuiltins: readonly string[];
}

/** OPA's wasm with the policy's data in a custom section: one file, one digest, nothing that could be mixed up. */
export function attachData(wasm: Uint8Array, data: Uint8Array): Buffer {
  const name = Buffer.from(DATA_SECTION);
  const content = Buffer.concat([leb128(name.length), name, data]);
  return Buffer.concat([wasm, Buffer.of(CUSTOM_SECTION_ID), leb128(content.length), content]);
}

/** The canonical JSON bytes of the policy's data. Throws unless there is exactly one section of data. */
export function readData(module: WebAssembly.Module): Uint8Array {
  const [section, ...others] = WebAssembly.Module.customSections(module, DATA_SECTION);
  if (section === undefined || others.length > 0) throw new TypeError('not one section of policy data');
  return new Uint8Array(section);
}

/** Reads what the module says of itself; throws when it is not OPA's wasm of an ABI this host speaks. */
export function inspectArtifact(module: WebAssembly.Module): ArtifactFacts {
  const instance = instantiatePolicy(module, readData(module));
  const offered = instance.entrypoints();
  const entrypoints = new Map<PolicyPackage, number>();
  for (const name of POLICY_PACKAGES) {
    const number = offered[name.replace('.', '/')];
    if (number !== undefined) entrypoints.set(name, number);
  }
  const missingBuiltins = instance
    .builtinNames()
    .filter((name) => !Object.hasOwn(HOST_BUILTINS, name))
    .sort();
  return { entrypoints, missingBuiltins };
}

function leb128(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  do {
    const low = rest % 128;
    rest = Math.floor(rest / 128);
    bytes.push(rest > 0 ? low + 128 : low);
  } while (rest > 0);
  return Buffer.from(bytes);
}
