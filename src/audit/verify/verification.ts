import { join } from 'node:path';

import { type AnchorOptions, openAnchors } from './anchors.ts';
import { openDatabaseSource } from './database-source.ts';
import { VerifyError } from './errors.ts';
import { openExportSource } from './export-source.ts';
import type { LogSource } from './log-source.ts';
import { type Registry, readRegistry } from './registry.ts';
import { digestOf, type KnownRegistry } from './registry-check.ts';
import type { VerifyReport } from './report.ts';
import type { EventSource } from './row.ts';
import { readState, type VerifiedChains, writeState } from './state.ts';
import { openTilesLog } from './tiles-log.ts';
import { openTilesSource } from './tiles-source.ts';
import { verifyLog } from './verify.ts';

/** ms between two writings of the state: what a verification that is broken off may lose. */
const STATE_INTERVAL = 5000;
const SIGNERS = 'signers.json';

/** What to verify. Plain data: it is handed to a thread. */
export interface VerificationRequest {
  /** One of the three. */
  readonly databaseUrl: string | undefined;
  readonly exportPath: string | undefined;
  readonly tilesPath?: string | undefined;
  /** The signers from this file; else from the database, or from the directory of tiles. */
  readonly signersPath: string | undefined;
  /** A directory of tiles with the log of checkpoints; else that of the source. */
  readonly logPath?: string | undefined;
  readonly checkpoints?: AnchorOptions;
  /** Where an earlier verification left its state, and this one will. */
  readonly statePath?: string | undefined;
  readonly chain: string | undefined;
  readonly from: number;
  readonly workers: number;
}

export type OnProgress = (events: number, fraction: number) => void;

/** Opens what the request names, verifies it and closes it again. Throws VerifyError when it cannot be read. */
export async function runVerification(request: VerificationRequest, onProgress: OnProgress): Promise<VerifyReport> {
  const { chain, from, workers, logPath, checkpoints, statePath } = request;
  const { source, registry, known } = await open(request);
  try {
    const anchors = checkpoints === undefined ? [] : await openAnchors(checkpoints, registry);
    const log = logPath === undefined ? undefined : await logAt(logPath);
    const verified = statePath === undefined ? undefined : await readState(statePath, registry);
    const onVerified = statePath === undefined ? undefined : stateKeeper(statePath, registry);
    const options = { source, log, registry, known, anchors, from, chain, workers, onProgress };
    const report = await verifyLog({
      ...options,
      ...(verified === undefined ? {} : { verified }),
      ...(onVerified === undefined ? {} : { onVerified }),
    });
    return { ...report, notes: [...trustNotes(request, verified), ...report.notes] };
  } finally {
    await source.close();
  }
}

interface Opened {
  readonly source: EventSource;
  readonly registry: Registry;
  readonly known: KnownRegistry | undefined;
}

async function open(request: VerificationRequest): Promise<Opened> {
  const { databaseUrl, exportPath, tilesPath, signersPath, chain, from } = request;
  const inDirectory = tilesPath === undefined ? undefined : join(tilesPath, SIGNERS);
  const path = signersPath ?? inDirectory;
  const file = path === undefined ? undefined : await readRegistry(path);
  const named = file && { registry: file.registry, known: knownElsewhere(file) };
  if (databaseUrl !== undefined) return openDatabase(databaseUrl, named, { chain, from });
  if (named === undefined) throw new VerifyError('UNREADABLE', 'an export needs a signers file');
  if (exportPath !== undefined) {
    return { source: await openExportSource({ path: exportPath, chain, from }), ...named };
  }
  if (tilesPath === undefined) throw new VerifyError('UNREADABLE', 'no database, export or directory was named');
  const source = await openTilesSource({ directory: tilesPath, chain, from });
  return signersPath === undefined ? ownRegistry(source, named.registry) : { source, ...named };
}

/** A file from elsewhere may be older or newer than the log: only the event of its own version can be about it. */
function knownElsewhere({ registry, version }: { registry: Registry; version: number | undefined }) {
  return version === undefined ? undefined : { digest: digestOf(registry), version, withLog: false };
}

/** The one that lies beside the events, as of the same moment. */
function ownRegistry(source: EventSource, registry: Registry, withLog = false): Opened {
  return { source, registry, known: { digest: digestOf(registry), version: undefined, withLog } };
}

async function openDatabase(
  databaseUrl: string,
  named: Omit<Opened, 'source'> | undefined,
  options: { chain: string | undefined; from: number },
): Promise<Opened> {
  const source = await openDatabaseSource({ databaseUrl, personal: true, ...options });
  try {
    if (named !== undefined) return { source, ...named };
    const { registry, known } = ownRegistry(source, await source.registry(), true);
    return { source, registry, known: known && { ...known, counted: await source.registryVersion() } };
  } catch (error) {
    await source.close();
    throw error;
  }
}

async function logAt(directory: string): Promise<LogSource> {
  const log = await openTilesLog(directory);
  if (log === undefined) throw new VerifyError('UNREADABLE', `${directory} holds no log of checkpoints`);
  return log;
}

/** Writes the state at the end, and before that now and then. */
function stateKeeper(
  path: string,
  registry: Registry,
): (collect: () => VerifiedChains, done: boolean) => Promise<void> {
  let written = performance.now();
  return async (collect, done) => {
    if (!done && performance.now() - written < STATE_INTERVAL) return;
    await writeState(path, registry, collect());
    written = performance.now();
  };
}

/** Where trust was taken from. */
function trustNotes(
  { statePath, tilesPath, signersPath, chain }: VerificationRequest,
  verified?: VerifiedChains,
): string[] {
  const notes: string[] = [];
  if (tilesPath !== undefined && signersPath === undefined) {
    notes.push('the signers were taken from the directory itself (--signers names them from elsewhere)');
  }
  const taken = Array.from(verified ?? []).filter(([name]) => chain === undefined || chain === name);
  if (taken.length > 0) {
    const before = taken.reduce((sum, [, { seq }]) => sum + seq - 1, 0);
    const chains = taken.length === 1 ? `chain ${taken[0]?.[0]}` : `${taken.length} chains`;
    notes.push(`${before} events of ${chains} were taken on trust from an earlier verification (--state ${statePath})`);
  }
  return notes;
}
