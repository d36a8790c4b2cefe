import { parsePartialSpec, type StoredSpec, toStoredSpec } from '../agents/spec.ts';
import type { AuditAppender, Claim, UnitScope } from '../audit/append.ts';
import type { Actor } from '../audit/event.ts';
import { sha256Digest } from '../crypto/digest.ts';
import { mergePatch } from '../http/merge-patch.ts';
import { type CursorScope, DEFAULT_LIMIT, decodeCursor, encodeCursor } from '../http/pagination.ts';
import { NotFound, ValidationFailed } from '../http/problem.ts';
import { newId } from '../ids.ts';
import type { Manifests, VerifiedManifest } from '../manifests/manifests.ts';
import type { Trx } from '../storage/database.ts';
import type { Storage } from '../storage/storage.ts';
import { TemplateError } from './errors.ts';
import {
  deleteTemplate,
  findTemplate,
  listTemplates,
  nextVersion,
  storeVersion,
  type TemplateRow,
  workspacesWith,
} from './store.ts';
import { isTemplateId, type Template, templateOf } from './template.ts';

export interface TemplateCaller extends Actor {
  readonly traceId: string;
}

export interface NewTemplate {
  /** Default: a new UUID. */
  readonly templateId?: string;
  readonly name: string;
  readonly config: unknown;
  /** The version that the caller takes to be next. */
  readonly version?: number;
}

/** Called with the present version, under the lock when something changes; throws when the caller meant another. */
type Precondition = (version: number) => void;

/** What agents can be spawned from. Every unknown template is NotFound. */
export interface TemplateService {
  /** Throws ValidationFailed, TemplateError ALREADY_EXISTS, CONFLICT, ManifestError. */
  create(
    workspaceId: string,
    request: NewTemplate,
    manifest: VerifiedManifest | undefined,
    caller: TemplateCaller,
    claim?: Claim<Template>,
  ): Promise<Template>;
  get(workspaceId: string, templateId: string): Promise<Template>;
  list(
    workspaceId: string,
    query: { readonly limit?: number; readonly cursor?: string },
  ): Promise<{ readonly templates: Template[]; readonly nextCursor: string | null }>;
  /** A new version with another name, and a config to which a merge patch was applied; what changes nothing makes none. */
  update(
    workspaceId: string,
    templateId: string,
    change: { readonly name?: string; readonly config?: unknown },
    manifest: VerifiedManifest | undefined,
    precondition: Precondition,
    caller: TemplateCaller,
  ): Promise<Template>;
  /** Its versions stay as evidence. */
  remove(workspaceId: string, templateId: string, precondition: Precondition, caller: TemplateCaller): Promise<void>;
  /** Which of the workspaces has a template of that id. */
  workspaceOf(templateId: string, among: readonly string[] | '*'): Promise<'none' | 'several' | { only: string }>;
}

interface Parts {
  readonly storage: Storage;
  readonly audit: AuditAppender;
  readonly manifests: Pick<Manifests, 'accept'>;
  /** Throws unless the workspace works. */
  readonly requireActive: (trx: Trx, workspaceId: string) => Promise<void>;
}

export function createTemplateService({ storage, audit, manifests, requireActive }: Parts): TemplateService {
  async function create(
    workspaceId: string,
    request: NewTemplate,
    manifest: VerifiedManifest | undefined,
    caller: TemplateCaller,
    claim?: Claim<Template>,
  ): Promise<Template> {
    const { templateId = newId(), name } = request;
    const config = parsePartialSpec(request.config, '/agent_config');
    const stored = toStoredSpec(config);
    return audit.commit({
      chain: workspaceId,
      claim,
      work: async (scope) => {
        const { trx, append } = scope;
        await requireActive(trx, workspaceId);
        if ((await findTemplate(trx, workspaceId, templateId)) !== undefined) {
          throw new TemplateError('ALREADY_EXISTS', 'the workspace has a template of this id');
        }
        const version = await nextVersion(trx, workspaceId, templateId);
        if (request.version !== undefined && request.version !== version) {
          throw new TemplateError('CONFLICT', `version ${version} is the next one of this template`);
        }
        await manifests.accept(scope, manifest, {
          workspaceId,
          caller,
          profiles: [config.profile],
          specHash: stored.hash,
          templateId,
        });
        const row = await store(scope, { workspaceId, templateId, version, name, stored }, caller);
        append({
          type: 'template.created',
          actor: caller,
          payload: { templateId, version, configHash: stored.hash },
          traceId: caller.traceId,
        });
        return templateOf(row);
      },
    });
  }

  async function get(workspaceId: string, templateId: string): Promise<Template> {
    return storage.read(workspaceId, async (trx) => templateOf(await requireTemplate(trx, workspaceId, templateId)));
  }

  async function list(workspaceId: string, query: { readonly limit?: number; readonly cursor?: string }) {
    const { limit = DEFAULT_LIMIT, cursor } = query;
    const scope: CursorScope = { route: 'templates', workspaceId, sort: 'id' };
    const after = cursor === undefined ? '' : idIn(scope, cursor);
    const { rows, more } = await storage.read(workspaceId, (trx) => listTemplates(trx, workspaceId, { after, limit }));
    const last = rows.at(-1)?.template_id;
    return {
      templates: rows.map(templateOf),
      nextCursor: more && last !== undefined ? encodeCursor(scope, [last]) : null,
    };
  }

  async function update(
    workspaceId: string,
    templateId: string,
    change: { readonly name?: string; readonly config?: unknown },
    manifest: VerifiedManifest | undefined,
    precondition: Precondition,
    caller: TemplateCaller,
  ): Promise<Template> {
    return audit.commit({
      chain: workspaceId,
      work: async (scope) => {
        await requireActive(scope.trx, workspaceId);
        const before = await requireTemplate(scope.trx, workspaceId, templateId);
        precondition(before.version);
        const { config: old, name: oldName } = templateOf(before);
        const config = parsePartialSpec(mergePatch(old, change.config ?? {}), '/agent_config');
        const stored = toStoredSpec(config);
        const name = change.name ?? oldName;
        await manifests.accept(scope, manifest, {
          workspaceId,
          caller,
          profiles: [old.profile, config.profile],
          specHash: stored.hash,
          templateId,
        });
        if (stored.hash === before.config_hash && name === oldName) return templateOf(before);
        const version = await nextVersion(scope.trx, workspaceId, templateId);
        const row = await store(scope, { workspaceId, templateId, version, name, stored }, caller);
        scope.append({
          type: 'template.updated',
          actor: caller,
          payload: {
            templateId,
            version,
            configHash: stored.hash,
            previousConfigHash: sha256Digest(before.config_bytes),
          },
          traceId: caller.traceId,
        });
        return templateOf(row);
      },
    });
  }

  async function remove(
    workspaceId: string,
    templateId: string,
    precondition: Precondition,
    caller: TemplateCaller,
  ): Promise<void> {
    await audit.commit({
      chain: workspaceId,
      work: async ({ trx, append }) => {
        await requireActive(trx, workspaceId);
        const { version } = await requireTemplate(trx, workspaceId, templateId);
        precondition(version);
        await deleteTemplate(trx, workspaceId, templateId);
        append({ type: 'template.deleted', actor: caller, payload: { templateId, version }, traceId: caller.traceId });
      },
    });
  }

  async function workspaceOf(templateId: string, among: readonly string[] | '*') {
    if (!isTemplateId(templateId) || among.length === 0) return 'none';
    const [only, another] = await storage.system((trx) => workspacesWith(trx, templateId, among));
    if (only === undefined) return 'none';
    return another === undefined ? { only } : 'several';
  }

  return { create, get, list, update, remove, workspaceOf };
}

async function requireTemplate(trx: Trx, workspaceId: string, templateId: string): Promise<TemplateRow> {
  const row = isTemplateId(templateId) ? await findTemplate(trx, workspaceId, templateId) : undefined;
  if (row === undefined) throw new NotFound();
  return row;
}

async function store(
  { trx, now }: UnitScope,
  next: { workspaceId: string; templateId: string; version: number; name: string; stored: StoredSpec },
  caller: TemplateCaller,
): Promise<TemplateRow> {
  const row: TemplateRow = {
    workspace_id: next.workspaceId,
    template_id: next.templateId,
    version: next.version,
    name: next.name,
    config_bytes: next.stored.bytes,
    config_hash: next.stored.hash,
    created_at: new Date(now),
    created_by: caller.id,
  };
  await storeVersion(trx, row);
  return row;
}

function idIn(scope: CursorScope, cursor: string): string {
  const [key] = decodeCursor(scope, cursor);
  if (typeof key === 'string' && isTemplateId(key)) return key;
  throw new ValidationFailed([{ pointer: '/query/cursor', detail: 'is not a cursor of this list' }]);
}
