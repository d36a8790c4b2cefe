import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import {
  type Directory,
  HUMANS,
  type OpenIdProvider,
  openIdProvider,
  SERVICES,
} from '../../support/openid-provider.ts';
import type { Tap } from '../../support/postgres.ts';
import { type TestService, type TestServiceOptions, testService } from '../../support/service.ts';

/** Names that stand nowhere else, so that they are found wherever they should not be. */
export const ALICE = 'alice-canary-7f3a';
export const BOB = 'bob-canary-91cc';

const DIRECTORY: Directory = {
  [ALICE]: { groups: ['castellan-admins'], castellan_workspaces: '*' },
  [BOB]: { groups: ['castellan-operators'], castellan_workspaces: ['demo'] },
  stranger: { groups: ['Castellan-Admins', 'kernel-admin'], castellan_workspaces: ['demo'] },
  homeless: { groups: ['castellan-admins'], castellan_workspaces: [] },
  'service-a': { groups: ['orchestrators'], castellan_workspaces: ['demo'] },
  'service-bound': { groups: ['orchestrators'], castellan_workspaces: ['demo'] },
};

export interface TokenWorld extends TestService {
  readonly provider: OpenIdProvider;
  /** The file with the issuers, whole at once. */
  writeIssuers(text: string): Promise<void>;
  readonly issuers: string;
}

/** The service with a real provider of tokens beside it. */
export async function tokenWorld(t: Tap, options: TestServiceOptions = {}): Promise<TokenWorld> {
  const dir = await mkdtemp(join(tmpdir(), 'castellan-test-issuers-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  const provider = await openIdProvider(t, DIRECTORY);
  const issuersFile = join(dir, 'issuers.json');
  const writeIssuers = async (text: string) => {
    await writeFile(`${issuersFile}.new`, text);
    await rename(`${issuersFile}.new`, issuersFile);
  };
  const issuers = JSON.stringify({ issuers: [entryOf(provider, 'human'), entryOf(provider, 'service')] });
  await writeIssuers(issuers);
  const tokens = { issuersFile, caFile: undefined, toleranceSeconds: 30 };
  const world = await testService(t, { ...options, identity: { ...options.identity, tokens } });
  return { ...world, provider, writeIssuers, issuers };
}

function entryOf({ issuer }: OpenIdProvider, kind: 'human' | 'service'): object {
  return {
    issuer,
    kind,
    audience: kind === 'human' ? HUMANS : SERVICES,
    algorithms: ['ES256'],
    roles: {
      claim: 'groups',
      map: { 'castellan-admins': 'kernel-admin', 'castellan-operators': 'operator', orchestrators: 'orchestrator' },
    },
    workspaces: { claim: 'castellan_workspaces', all: '*' },
  };
}
