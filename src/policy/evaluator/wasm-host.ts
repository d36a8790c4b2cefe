import { HOST_BUILTINS, type HostBuiltin } from './builtins.ts';
import { MAX_RESULT_BYTES } from './outcome.ts';
import { parseRegoValue, type RegoValue } from './rego-value.ts';

const PAGE_BYTES = 65_536;
// Address space, not memory, until it is touched: room for the static part of a policy of 4 MiB.
const INITIAL_PAGES = 128;
/** 128 MiB for data, input and everything an evaluation builds; beyond it OPA's allocator aborts. */
const MAXIMUM_PAGES = 2048;
const ABI_MAJOR = 1;
/** The first with opa_eval, which evaluates in one call and starts from the same heap each time. */
const ABI_MINOR = 2;
const JSON_FORMAT = 0;

/** One instance of a policy. Not reentrant; after any throw of `evaluate` it must be thrown away. */
export interface PolicyInstance {
  /** The result set as JSON text. Throws when the policy aborts, traps, or answers more than MAX_RESULT_BYTES. */
  evaluate(entrypoint: number, inputText: string): string;
  entrypoints(): Readonly<Record<string, number>>;
  builtinNames(): readonly string[];
  /** Bytes of linear memory, which never shrinks. */
  memoryBytes(): number;
}

/** A host for OPA's wasm ABI 1.2 and 1.3, with `data` (JSON) parsed once. Throws for any other module. */
export function instantiatePolicy(module: WebAssembly.Module, data: Uint8Array): PolicyInstance {
  const memory = new WebAssembly.Memory({ initial: INITIAL_PAGES, maximum: MAXIMUM_PAGES });
  const text = new TextDecoder('utf-8', { fatal: true });
  const numbered = new Map<number, HostBuiltin>();
  const callBuiltin = (id: number, _context: number, ...operands: number[]): number => {
    const builtin = numbered.get(id);
    if (builtin === undefined) throw new Error(`no builtin ${id}`);
    const result = builtin(...operands.map((address) => parseRegoValue(cString(call('opa_value_dump', address)))));
    return result === undefined ? 0 : storeValue(result);
  };
  const { exports } = new WebAssembly.Instance(module, {
    env: {
      memory,
      opa_abort: (address: number) => {
        throw new Error(`the policy aborted: ${cString(address).slice(0, 500)}`);
      },
      opa_println: () => undefined,
      opa_builtin0: callBuiltin,
      opa_builtin1: callBuiltin,
      opa_builtin2: callBuiltin,
      opa_builtin3: callBuiltin,
      opa_builtin4: callBuiltin,
    },
  });
  requireAbi(exports);
  const functions = new Map(Object.entries(exports).filter(([, value]) => typeof value === 'function'));
  const opaEval = functionOf('opa_eval');

  const names = readMap(call('builtins'));
  for (const [name, id] of Object.entries(names)) {
    const builtin = Object.hasOwn(HOST_BUILTINS, name) ? HOST_BUILTINS[name] : undefined;
    if (builtin !== undefined) numbered.set(id, builtin);
  }
  const offered = readMap(call('entrypoints'));
  const dataAddress = parseJson(data);
  const heapBase = align(call('opa_heap_ptr_get'));

  return { evaluate, entrypoints: () => offered, builtinNames: () => Object.keys(names), memoryBytes };

  function evaluate(entrypoint: number, inputText: string): string {
    const size = Buffer.byteLength(inputText);
    reserve(heapBase + size);
    Buffer.from(memory.buffer, heapBase, size).write(inputText, 'utf8');
    const result: unknown = opaEval(0, entrypoint, dataAddress, heapBase, size, align(heapBase + size), JSON_FORMAT);
    if (typeof result !== 'number') throw new TypeError('opa_eval returned no address');
    return cString(result, MAX_RESULT_BYTES);
  }

  function memoryBytes(): number {
    return memory.buffer.byteLength;
  }

  function functionOf(name: string): (...args: number[]) => unknown {
    const found: unknown = functions.get(name);
    if (typeof found !== 'function') throw new TypeError(`the wasm does not export ${name}`);
    return (...args) => Reflect.apply(found, undefined, args);
  }

  function call(name: string, ...args: number[]): number {
    const result = functionOf(name)(...args);
    if (typeof result !== 'number') throw new TypeError(`${name} returned no address`);
    return result;
  }

  function storeValue(value: RegoValue): number {
    const bytes = Buffer.from(valueText(value));
    const address = call('opa_malloc', bytes.length);
    new Uint8Array(memory.buffer, address, bytes.length).set(bytes);
    const parsed = call('opa_value_parse', address, bytes.length);
    if (parsed === 0) throw new TypeError('a builtin returned what the wasm cannot read');
    return parsed;
  }

  function parseJson(bytes: Uint8Array): number {
    const address = call('opa_malloc', bytes.length);
    new Uint8Array(memory.buffer, address, bytes.length).set(bytes);
    const parsed = call('opa_json_parse', address, bytes.length);
    if (parsed === 0) throw new TypeError('the data of the policy is not JSON');
    return parsed;
  }

  function reserve(end: number): void {
    const missing = end - memory.buffer.byteLength;
    if (missing > 0) memory.grow(Math.ceil(missing / PAGE_BYTES));
  }

  function readMap(address: number): Readonly<Record<string, number>> {
    const value: unknown = JSON.parse(cString(call('opa_json_dump', address)));
    if (!isNumberMap(value)) throw new TypeError('the wasm does not describe itself');
    return value;
  }

  function cString(address: number, limit = memory.buffer.byteLength): string {
    const bytes = new Uint8Array(memory.buffer);
    const end = bytes.indexOf(0, address);
    if (end < 0 || end - address > limit) throw new RangeError('the answer is too large');
    return text.decode(bytes.subarray(address, end));
  }
}

function requireAbi(exports: WebAssembly.Exports): void {
  const { opa_wasm_abi_version: major, opa_wasm_abi_minor_version: minor } = exports;
  const known =
    major instanceof WebAssembly.Global &&
    minor instanceof WebAssembly.Global &&
    major.value === ABI_MAJOR &&
    minor.value >= ABI_MINOR;
  if (!known) throw new TypeError('not the wasm of OPA, or of an ABI this host does not speak');
}

function isNumberMap(value: unknown): value is Record<string, number> {
  return typeof value === 'object' && value !== null && Object.values(value).every((id) => typeof id === 'number');
}

function align(address: number): number {
  return Math.ceil(address / 8) * 8;
}

// The few forms that builtins return; composites would need the syntax of sets.
function valueText(value: RegoValue): string {
  switch (value.type) {
    case 'boolean':
      return String(value.value);
    case 'number':
      return value.text;
    case 'string':
      return JSON.stringify(value.value);
    default:
      throw new TypeError('a builtin returned a value of an unexpected type');
  }
}
