import { constants } from 'node:fs';
import { type FileHandle, open, realpath } from 'node:fs/promises';
import { join, sep } from 'node:path';

import type { AgentProcessConfig } from '../config/runtime.ts';
import { SecretUnavailable } from './errors.ts';

/** Of one secret. */
const MAX_BYTES = 1_048_576;
/** A fifo or a device in its place must neither be waited for nor read. */
const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Secrets of agents, read anew for each launch and kept nowhere. */
export interface SecretSource {
  /** Throws SecretUnavailable, which says why and holds nothing of the value. */
  resolve(workspaceId: string, names: readonly string[]): Promise<ReadonlyMap<string, Buffer>>;
}

/** From variables of the service, else from files `<directory>/<workspace>/<name>`. */
export function createSecretSource({
  secretsDir,
  secretsEnv,
}: Pick<AgentProcessConfig, 'secretsDir' | 'secretsEnv'>): SecretSource {
  async function one(workspaceId: string, name: string): Promise<Buffer> {
    const value = secretsEnv.get(`${workspaceId}/${name}`);
    if (value !== undefined) return Buffer.from(value, 'utf8');
    if (secretsDir === undefined) throw new SecretUnavailable(name, 'there is no source of secrets that has it');
    return readSecret(secretsDir, workspaceId, name);
  }

  return {
    resolve: async (workspaceId, names) => {
      const values = await Promise.all(names.map((name) => one(workspaceId, name)));
      return new Map(names.map((name, index) => [name, values[index] ?? Buffer.alloc(0)]));
    },
  };
}

async function readSecret(root: string, workspaceId: string, name: string): Promise<Buffer> {
  const target = await targetOf(root, workspaceId, name);
  const file = await opened(target, name);
  try {
    // The open file is looked at, not the path: a path could be swapped in between.
    const stats = await file.stat();
    if (!stats.isFile()) throw new SecretUnavailable(name, 'it is not a regular file');
    if (stats.size > MAX_BYTES) throw new SecretUnavailable(name, `it has more than ${MAX_BYTES} bytes`);
    const bytes = await file.readFile();
    // It may have grown since.
    if (bytes.length > MAX_BYTES) throw new SecretUnavailable(name, `it has more than ${MAX_BYTES} bytes`);
    return bytes;
  } finally {
    await file.close();
  }
}

/** Where the path leads once its links are followed: `token` → `..data/token` → `..2026_11_21/token`, as Kubernetes has it. */
async function targetOf(root: string, workspaceId: string, name: string): Promise<string> {
  try {
    const top = await realpath(root);
    const home = await realpath(join(top, workspaceId));
    const target = await realpath(join(home, name));
    if (isInside(home, top) && isInside(target, home)) return target;
  } catch (cause) {
    throw new SecretUnavailable(name, 'there is no file of it', cause);
  }
  throw new SecretUnavailable(name, 'its file is a link out of the directory');
}

function isInside(path: string, directory: string): boolean {
  return path.startsWith(directory === sep ? sep : `${directory}${sep}`);
}

async function opened(target: string, name: string): Promise<FileHandle> {
  try {
    return await open(target, FLAGS);
  } catch (cause) {
    throw new SecretUnavailable(name, 'its file cannot be read', cause);
  }
}
