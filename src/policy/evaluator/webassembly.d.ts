/** The part of the WebAssembly interface used here; neither the es libraries nor @types/node declare it. */
declare namespace WebAssembly {
  type Exports = Readonly<Record<string, unknown>>;

  class Module {
    private readonly brand;
    constructor(bytes: Uint8Array);
    static customSections(module: Module, name: string): ArrayBuffer[];
  }

  class Instance {
    readonly exports: Exports;
    constructor(module: Module, imports: Record<string, Record<string, unknown>>);
  }

  class Memory {
    readonly buffer: ArrayBuffer;
    constructor(descriptor: { initial: number; maximum: number });
    /** Throws a RangeError beyond the maximum. */
    grow(pages: number): number;
  }

  class Global {
    readonly value: number;
    private constructor();
  }

  function compile(bytes: Uint8Array): Promise<Module>;
}
