import { type PartialSpec, parsePartialSpec } from '../agents/spec.ts';
import { sha256Digest } from '../crypto/digest.ts';
import { TemplateError } from './errors.ts';
import type { TemplateRow } from './store.ts';

/** Names that a path can hold as they are: those of workspaces, and UUIDs. */
const TEMPLATE_ID = /^[a-z0-9][a-z0-9-]{0,62}$/;

export function isTemplateId(value: string): boolean {
  return TEMPLATE_ID.test(value);
}

/** A template in its present version. */
export interface Template {
  readonly workspaceId: string;
  readonly templateId: string;
  readonly version: number;
  readonly name: string;
  readonly config: PartialSpec;
  readonly configHash: string;
  readonly createdAt: Date;
  readonly createdBy: string;
}

/** What is stored, if it is what its hash says: nothing is spawned from a row that somebody edited. */
export function templateOf(row: TemplateRow): Template {
  return {
    workspaceId: row.workspace_id,
    templateId: row.template_id,
    version: row.version,
    name: row.name,
    config: configOf(row),
    configHash: row.config_hash,
    createdAt: row.created_at,
    createdBy: row.created_by,
  };
}

function configOf({ config_bytes: bytes, config_hash: hash }: TemplateRow): PartialSpec {
  if (sha256Digest(bytes) !== hash) {
    throw new TemplateError('UNPROCESSABLE', 'the stored template does not match its hash');
  }
  return parsePartialSpec(JSON.parse(bytes.toString('utf8')), '/agent_config');
}
