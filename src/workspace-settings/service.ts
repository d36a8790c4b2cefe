import type { AuditAppender, UnitScope } from '../audit/append.ts';
import type { Actor } from '../audit/event.ts';
import { canonicalBytes } from '../crypto/canonical-json.ts';
import { sha256Digest } from '../crypto/digest.ts';
import { mergePatch } from '../http/merge-patch.ts';
import { NotFound } from '../http/problem.ts';
import { WorkspaceSuspended } from '../identity/errors.ts';
import type { Trx } from '../storage/database.ts';
import type { Storage } from '../storage/storage.ts';
import { WorkspaceLimitReached } from './errors.ts';
import {
  inForce,
  parseStored,
  type StoredSettings,
  type WorkspaceSettings,
  type WorkspaceSettingsPatch,
} from './settings.ts';
import { findOccupancy, findStanding, type StandingRow, storeSettings } from './store.ts';

export interface SettingsCaller extends Actor {
  readonly traceId: string;
}

/** The settings in force, and the digest of them, which the ETag names. */
export interface VersionedSettings {
  readonly settings: WorkspaceSettings;
  readonly digest: string;
}

/** What a workspace has set. Every unknown workspace is NotFound. In a unit of its chain all of it is exact. */
export interface WorkspaceSettingsService {
  /** The settings in force. */
  read(trx: Trx, workspaceId: string): Promise<WorkspaceSettings>;
  /** Throws WorkspaceSuspended unless the workspace works. For units that change what a suspension holds still. */
  requireActive(trx: Trx, workspaceId: string): Promise<void>;
  /** For the unit that creates an agent: throws WorkspaceSuspended or WorkspaceLimitReached, else gives the settings. */
  requireRoom(trx: Trx, workspaceId: string): Promise<WorkspaceSettings>;
  get(workspaceId: string): Promise<VersionedSettings>;
  /** `precondition` is called with the present digest under the lock and throws when the caller meant other settings. */
  patch(
    workspaceId: string,
    patch: WorkspaceSettingsPatch,
    precondition: (digest: string) => void,
    caller: SettingsCaller,
  ): Promise<VersionedSettings>;
}

export function createWorkspaceSettings(parts: { storage: Storage; audit: AuditAppender }): WorkspaceSettingsService {
  const { storage, audit } = parts;

  async function read(trx: Trx, workspaceId: string): Promise<WorkspaceSettings> {
    return inForce(await storedOf(trx, workspaceId));
  }

  async function requireActive(trx: Trx, workspaceId: string): Promise<void> {
    working(found(await findStanding(trx, workspaceId)), workspaceId);
  }

  async function requireRoom(trx: Trx, workspaceId: string): Promise<WorkspaceSettings> {
    const row = found(await findOccupancy(trx, workspaceId));
    working(row, workspaceId);
    const settings = inForce(parseStored(row.settings));
    const { maxAgents } = settings.limits;
    if (maxAgents !== undefined && row.agents >= maxAgents) throw new WorkspaceLimitReached(maxAgents);
    return settings;
  }

  async function get(workspaceId: string): Promise<VersionedSettings> {
    return versioned(await storage.read(workspaceId, (trx) => storedOf(trx, workspaceId)));
  }

  async function patch(
    workspaceId: string,
    change: WorkspaceSettingsPatch,
    precondition: (digest: string) => void,
    { traceId, ...actor }: SettingsCaller,
  ): Promise<VersionedSettings> {
    return audit.commit({
      chain: workspaceId,
      work: async ({ trx, append }: UnitScope) => {
        const before = await storedOf(trx, workspaceId);
        const present = versioned(before);
        precondition(present.digest);
        const stored = parseStored(mergePatch(before, change));
        const changed = changedMembers(before, stored);
        if (changed.length === 0) return present;
        await storeSettings(trx, workspaceId, JSON.stringify(stored));
        const next = versioned(stored);
        append({
          type: 'workspace.settings.changed',
          actor,
          payload: { workspaceId, settings: changed, settingsDigest: next.digest },
          traceId,
        });
        return next;
      },
    });
  }

  return { read, requireActive, requireRoom, get, patch };
}

async function storedOf(trx: Trx, workspaceId: string): Promise<StoredSettings> {
  return parseStored(found(await findStanding(trx, workspaceId)).settings);
}

function working({ state }: StandingRow, workspaceId: string): void {
  if (state !== 'active') throw new WorkspaceSuspended(workspaceId);
}

function found<T>(row: T | undefined): T {
  if (row === undefined) throw new NotFound();
  return row;
}

function versioned(stored: StoredSettings): VersionedSettings {
  const settings = inForce(stored);
  return { settings, digest: sha256Digest(canonicalBytes(settings)) };
}

/** Names of the settings that were set, changed or taken back, in order. */
function changedMembers(before: StoredSettings, after: StoredSettings): string[] {
  const texts = (stored: StoredSettings) =>
    new Map(Object.entries(stored).map(([name, value]) => [name, sha256Digest(canonicalBytes(value))]));
  const [old, fresh] = [texts(before), texts(after)];
  const names = [...new Set([...old.keys(), ...fresh.keys()])];
  return names.filter((name) => old.get(name) !== fresh.get(name)).sort();
}
