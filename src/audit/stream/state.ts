import { open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';

import { StreamError } from './errors.ts';

const HASH = /^[0-9a-f]{64}$/;

/** The last event of a chain that was delivered; `hash` null where none was seen, since the stream began behind it. */
export interface StreamPosition {
  readonly seq: number;
  readonly hash: string | null;
}

export type StreamPositions = ReadonlyMap<string, StreamPosition>;

/** The positions in a state file; undefined when there is no file yet. Rejects with StreamError STATE. */
export async function readState(path: string): Promise<StreamPositions | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined;
    throw new StreamError('STATE', `the state ${path} cannot be read`, cause);
  }
  const positions = parsed(text);
  if (positions === undefined) throw new StreamError('STATE', `${path} is no state of a stream`);
  return positions;
}

/** Puts the new state in the place of the old one, whole or not at all, and only when it is on the disk. */
export async function writeState(path: string, positions: StreamPositions): Promise<void> {
  const chains = Object.fromEntries([...positions].toSorted(([a], [b]) => (a < b ? -1 : 1)));
  const unfinished = `${path}.unfinished`;
  try {
    const file = await open(unfinished, 'w', 0o600);
    try {
      await file.writeFile(`${JSON.stringify({ v: 1, chains })}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(unfinished, path);
    await syncDirectory(dirname(path));
  } catch (cause) {
    throw new StreamError('STATE', `the state ${path} cannot be written`, cause);
  }
}

/** A new name is only there after a crash when its directory is on the disk too. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

function parsed(text: string): StreamPositions | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  if (!isRecord(value) || value['v'] !== 1 || !isRecord(value['chains'])) return undefined;
  const positions = new Map<string, StreamPosition>();
  for (const [chain, position] of Object.entries(value['chains'])) {
    if (!isRecord(position)) return undefined;
    const { seq, hash } = position;
    if (typeof seq !== 'number' || !Number.isSafeInteger(seq) || seq < 0) return undefined;
    if (hash !== null && !(typeof hash === 'string' && HASH.test(hash))) return undefined;
    positions.set(chain, { seq, hash });
  }
  return positions;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
