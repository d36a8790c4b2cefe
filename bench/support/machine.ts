import { cpus, loadavg, totalmem } from 'node:os';

/** What a reader must know of the machine to read the figures. */
export function machineFacts(): Readonly<Record<string, string | number>> {
  return {
    cores: cpus().length,
    cpu: cpus()[0]?.model ?? 'unknown',
    memoryGb: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    loadBefore: Number((loadavg()[0] ?? 0).toFixed(2)),
  };
}
