/** What a seccomp program is asked: struct seccomp_data, arguments as 64 bits. */
export interface Call {
  readonly arch: number;
  readonly number: number;
  readonly args?: readonly bigint[];
}

const RETURNS = new Map([
  [0x80000000, 'kill'],
  [0x7fff0000, 'allow'],
  [0x00050001, 'EPERM'],
  [0x00050026, 'ENOSYS'],
]);

/** Runs classic BPF as the kernel does; refuses what the kernel would refuse to load. */
export function judge(program: Buffer, call: Call): string {
  const data = seccompData(call);
  const length = program.length / 8;
  let accumulator = 0;
  for (let at = 0; at < length; at += 1) {
    const code = program.readUInt16LE(at * 8);
    const jumpTrue = program.readUInt8(at * 8 + 2);
    const jumpFalse = program.readUInt8(at * 8 + 3);
    const k = program.readUInt32LE(at * 8 + 4);
    const branch = (holds: boolean) => (holds ? jumpTrue : jumpFalse);
    switch (code) {
      case 0x20:
        if (k % 4 !== 0 || k >= 64) throw new Error(`load from ${k}`);
        accumulator = data.readUInt32LE(k);
        break;
      case 0x05:
        at += k;
        break;
      case 0x15:
        at += branch(accumulator === k);
        break;
      case 0x35:
        at += branch(accumulator >= k);
        break;
      case 0x45:
        at += branch((accumulator & k) !== 0);
        break;
      case 0x06:
        return RETURNS.get(k) ?? `0x${k.toString(16)}`;
      default:
        throw new Error(`instruction 0x${code.toString(16)}`);
    }
  }
  throw new Error('fell off the end');
}

function seccompData({ arch, number, args = [] }: Call): Buffer {
  const data = Buffer.alloc(64);
  data.writeUInt32LE(number, 0);
  data.writeUInt32LE(arch, 4);
  for (const [index, value] of args.entries()) data.writeBigUInt64LE(value, 16 + index * 8);
  return data;
}
