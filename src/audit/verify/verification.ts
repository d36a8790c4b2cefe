import { openDatabaseSource } from './database-source.ts';
import { VerifyError } from './errors.ts';
import { openExportSource } from './export-source.ts';
import { type Registry, readRegistry } from './registry.ts';
import type { VerifyReport } from './report.ts';
import type { EventSource } from './row.ts';
import { verifyLog } from './verify.ts';

/** What to verify. Plain data: it is handed to a thread. */
export interface VerificationRequest {
  /** One of the two. */
  readonly databaseUrl: string | undefined;
  readonly exportPath: string | undefined;
  /** The signers from this file; else from the database. */
  readonly signersPath: string | undefined;
  readonly chain: string | undefined;
  readonly from: number;
  readonly workers: number;
}

export type OnProgress = (events: number, fraction: number) => void;

/** Opens what the request names, verifies it and closes it again. Throws VerifyError when it cannot be read. */
export async function runVerification(request: VerificationRequest, onProgress: OnProgress): Promise<VerifyReport> {
  const { source, registry } = await open(request);
  try {
    return await verifyLog({ source, registry, from: request.from, workers: request.workers, onProgress });
  } finally {
    await source.close();
  }
}

async function open(request: VerificationRequest): Promise<{ source: EventSource; registry: Registry }> {
  const { databaseUrl, exportPath, signersPath, chain, from } = request;
  const named = signersPath === undefined ? undefined : await readRegistry(signersPath);
  if (exportPath !== undefined) {
    if (named === undefined) throw new VerifyError('UNREADABLE', 'an export needs a signers file');
    return { source: await openExportSource({ path: exportPath, chain, from }), registry: named };
  }
  if (databaseUrl === undefined) throw new VerifyError('UNREADABLE', 'neither a database nor an export was named');
  const source = await openDatabaseSource({ databaseUrl, chain, from });
  try {
    return { source, registry: named ?? (await source.registry()) };
  } catch (error) {
    await source.close();
    throw error;
  }
}
