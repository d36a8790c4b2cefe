import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Migration } from 'kysely';

import { StorageError } from './pg-errors.ts';

/** Beside src in the checkout and beside dist/src in the build. */
export const MIGRATIONS_FOLDER = fileURLToPath(new URL('../../migrations/', import.meta.url));

const FILE = /^(?<name>\d{4}-[a-z0-9-]+)\.(ts|js)$/;

/** The names of a folder's migrations in the order they run. */
export async function migrationNames(folder: string): Promise<string[]> {
  return [...(await filesByName(folder)).keys()];
}

/** The migrations of a folder by name, loaded. */
export async function loadMigrations(folder: string): Promise<Record<string, Migration>> {
  const loaded: Record<string, Migration> = {};
  for (const [name, file] of await filesByName(folder)) {
    const module: unknown = await import(pathToFileURL(join(folder, file)).href);
    if (!isMigration(module)) throw new StorageError('MIGRATIONS_INVALID', `${file} exports no function "up"`);
    // Forward only: a `down` would never be tested where it matters.
    loaded[name] = { up: module.up };
  }
  return loaded;
}

async function filesByName(folder: string): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for (const file of (await readdir(folder)).sort()) {
    const name = FILE.exec(file)?.groups?.['name'];
    if (name === undefined) continue;
    const number = name.slice(0, 4);
    if ([...files.keys()].some((other) => other.startsWith(number))) {
      throw new StorageError('MIGRATIONS_INVALID', `two migrations have the number ${number}`);
    }
    files.set(name, file);
  }
  if (files.size === 0) throw new StorageError('MIGRATIONS_INVALID', 'there are no migrations');
  return files;
}

function isMigration(module: unknown): module is Migration {
  return typeof module === 'object' && module !== null && 'up' in module && typeof module.up === 'function';
}
