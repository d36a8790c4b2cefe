import { execFile } from 'node:child_process';
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import type { Tap } from '../postgres.ts';

const LIBRARIES = [
  '/usr/lib/softhsm/libsofthsm2.so',
  '/usr/lib64/softhsm/libsofthsm.so',
  '/usr/lib/softhsm/libsofthsm.so',
  '/opt/homebrew/lib/softhsm/libsofthsm2.so',
];
const MAKE_TOKEN = fileURLToPath(new URL('./make-token.ts', import.meta.url));
const FAULTY_MODULE = fileURLToPath(new URL('./faulty-module.c', import.meta.url));
const run = promisify(execFile);
const require = createRequire(import.meta.url);

export interface KeyRequest {
  readonly kind: 'Ed25519' | 'ECDSA-P256-SHA256' | 'RSA-PSS-SHA256' | 'P-384';
  readonly label: string;
  /** CKA_ID in hex. */
  readonly id: string;
  /** Whoever has the PIN can read it out. */
  readonly extractable?: boolean;
  readonly signs?: boolean;
}

export interface TokenRequest {
  readonly label: string;
  readonly pin: string;
  readonly keys: readonly KeyRequest[];
}

/** A SoftHSM2 token of the test's own. Its files are named by variables that this process has until the test ends. */
export interface SoftHsm {
  readonly module: string;
  readonly tokenLabel: string;
  readonly pin: string;
  /** For a process that is started with an environment of its own. */
  readonly env: Readonly<Record<string, string>>;
  takeAway(): void;
  bringBack(): void;
}

/** One that fails as it is told to. */
export interface FaultyHsm extends SoftHsm {
  setFault(name: string, calls?: number): void;
  heal(): void;
  logins(): number;
}

/** Why no test with a token can run here; false when it can. */
export function missingHsm(): string | false {
  if (library() === undefined) return 'SoftHSM2 is not installed (Debian: softhsm2)';
  try {
    require('pkcs11js');
    return false;
  } catch {
    return 'pkcs11js is not installed or was not built (it needs a C++ compiler)';
  }
}

/** Why none that fails on purpose can be had. */
export function missingFaultyHsm(): string | false {
  const compiler = (process.env['PATH'] ?? '').split(':').some((dir) => existsSync(join(dir, 'cc')));
  return missingHsm() || (!compiler && 'there is no C compiler for the module that fails');
}

export async function softHsm(t: Tap, keys: readonly KeyRequest[]): Promise<SoftHsm> {
  const home = await mkdtemp(join(tmpdir(), 'castellan-test-hsm-'));
  t.teardown(() => rm(home, { recursive: true, force: true }));
  const tokens = join(home, 'tokens');
  await mkdir(tokens);
  const conf = join(home, 'softhsm2.conf');
  await writeFile(conf, `directories.tokendir = ${tokens}\nobjectstore.backend = file\nlog.level = ERROR\n`);
  const env = { SOFTHSM2_CONF: conf };
  useVariables(t, env);
  const token = { label: 'castellan test', pin: 'pin-of-the-test-7391', keys };
  const module = library() ?? '';
  // The variables of a run under tap are not for it.
  const own = { PATH: process.env['PATH'] ?? '', ...env };
  await run(process.execPath, [MAKE_TOKEN, module, JSON.stringify(token)], { env: own });
  return {
    module,
    tokenLabel: token.label,
    pin: token.pin,
    env,
    takeAway: () => renameSync(tokens, `${tokens}-away`),
    bringBack: () => renameSync(`${tokens}-away`, tokens),
  };
}

/** The same token behind a module that is compiled for it. */
export async function faultyHsm(t: Tap, hsm: SoftHsm): Promise<FaultyHsm> {
  const home = dirname(hsm.env['SOFTHSM2_CONF'] ?? '');
  const module = join(home, 'faulty.so');
  const headers = join(dirname(require.resolve('pkcs11js')), 'includes', 'pkcs11');
  await run('cc', ['-shared', '-fPIC', '-I', headers, '-o', module, FAULTY_MODULE, '-ldl']);
  const fault = join(home, 'fault');
  const logins = join(home, 'logins');
  useVariables(t, { TESTING_HSM_LIBRARY: hsm.module, TESTING_HSM_FAULT: fault, TESTING_HSM_LOGINS: logins });
  return {
    ...hsm,
    module,
    setFault: (name, calls = 1_000_000) => writeFileSync(fault, `${name} ${calls}`),
    heal: () => rmSync(fault, { force: true }),
    logins: () => (existsSync(logins) ? readFileSync(logins).length : 0),
  };
}

function library(): string | undefined {
  return LIBRARIES.find((path) => existsSync(path));
}

/** What the vendor's library reads, and a process of the driver inherits. */
function useVariables(t: Tap, variables: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(variables)) {
    const before = process.env[name];
    process.env[name] = value;
    t.teardown(() => {
      if (before === undefined) delete process.env[name];
      else process.env[name] = before;
    });
  }
}
