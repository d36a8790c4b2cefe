/** Classic BPF as seccomp takes it: linux/filter.h, linux/bpf_common.h, linux/seccomp.h. */
const BPF_LD_W_ABS = 0x20;
const BPF_JMP_JA = 0x05;
const BPF_JMP_JEQ = 0x15;
const BPF_JMP_JGE = 0x35;
const BPF_JMP_JSET = 0x45;
const BPF_RET = 0x06;

const INSTRUCTION_BYTES = 8;
/** BPF_MAXINSNS. */
const MAX_INSTRUCTIONS = 4096;
const MAX_CONDITIONAL_JUMP = 255;

/** Where a jump goes: a label further down. */
export type Label = string;

export type Instruction =
  | { readonly op: 'load'; readonly offset: number }
  | { readonly op: 'return'; readonly value: number }
  | { readonly op: 'jump'; readonly to: Label }
  /** Goes on below where the condition does not hold. */
  | { readonly op: 'if-equal' | 'if-at-least' | 'if-any-bit'; readonly value: number; readonly to: Label }
  | { readonly op: 'label'; readonly name: Label };

const CONDITIONS = { 'if-equal': BPF_JMP_JEQ, 'if-at-least': BPF_JMP_JGE, 'if-any-bit': BPF_JMP_JSET } as const;

/** The bytes of struct sock_filter[], little-endian as both architectures are. Throws for a jump that cannot be said. */
export function assemble(program: readonly Instruction[]): Buffer {
  const places = new Map<Label, number>();
  const code: Exclude<Instruction, { op: 'label' }>[] = [];
  for (const instruction of program) {
    if (instruction.op === 'label') places.set(instruction.name, code.length);
    else code.push(instruction);
  }
  if (code.length === 0 || code.length > MAX_INSTRUCTIONS) throw new RangeError(`${code.length} instructions`);
  const bytes = Buffer.alloc(code.length * INSTRUCTION_BYTES);
  for (const [index, instruction] of code.entries()) {
    const { code: operation, k, jumpTrue } = encode(instruction, index, places);
    bytes.writeUInt16LE(operation, index * INSTRUCTION_BYTES);
    bytes.writeUInt8(jumpTrue, index * INSTRUCTION_BYTES + 2);
    bytes.writeUInt32LE(k, index * INSTRUCTION_BYTES + 4);
  }
  return bytes;
}

function encode(
  instruction: Exclude<Instruction, { op: 'label' }>,
  index: number,
  places: ReadonlyMap<Label, number>,
): { code: number; k: number; jumpTrue: number } {
  switch (instruction.op) {
    case 'load':
      return { code: BPF_LD_W_ABS, k: instruction.offset, jumpTrue: 0 };
    case 'return':
      return { code: BPF_RET, k: instruction.value, jumpTrue: 0 };
    case 'jump':
      return { code: BPF_JMP_JA, k: distance(instruction.to, index, places), jumpTrue: 0 };
    case 'if-equal':
    case 'if-at-least':
    case 'if-any-bit': {
      const jumpTrue = distance(instruction.to, index, places);
      if (jumpTrue > MAX_CONDITIONAL_JUMP) throw new RangeError(`${instruction.to} is ${jumpTrue} instructions away`);
      return { code: CONDITIONS[instruction.op], k: instruction.value, jumpTrue };
    }
  }
}

function distance(to: Label, index: number, places: ReadonlyMap<Label, number>): number {
  const place = places.get(to);
  if (place === undefined || place <= index) throw new RangeError(`no ${to} below instruction ${index}`);
  return place - index - 1;
}
