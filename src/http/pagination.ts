import { createHash } from 'node:crypto';
import { Type } from '@sinclair/typebox';
import { ValidationFailed } from './problem.ts';

/** Items per page when the caller names no limit. */
export const DEFAULT_LIMIT = 50;
/** Contract §4. */
const MAX_LIMIT = 500;

const CURSOR_VERSION = 1;
// Base64url characters; a cursor is a sort name, a digest and one or two keys.
const MAX_CURSOR_LENGTH = 1024;

export const LimitSchema = Type.Integer({ minimum: 1, maximum: MAX_LIMIT, description: `Default ${DEFAULT_LIMIT}` });
export const CursorSchema = Type.String({
  minLength: 1,
  maxLength: MAX_CURSOR_LENGTH,
  pattern: '^[A-Za-z0-9_-]+$',
  description: 'The nextCursor of the page before; opaque',
});

export type CursorKey = readonly (string | number)[];

/** What a cursor belongs to. A cursor of another route, workspace, order or filter is refused. */
export interface CursorScope {
  readonly route: string;
  readonly workspaceId: string;
  readonly sort: string;
  readonly filters?: Readonly<Record<string, string | number | boolean | undefined>>;
}

/** The opaque cursor after `key`, the sort key of the last item of a page. */
export function encodeCursor(scope: CursorScope, key: CursorKey): string {
  return Buffer.from(JSON.stringify([CURSOR_VERSION, scope.sort, scopeDigest(scope), key])).toString('base64url');
}

/** The sort key in a cursor; throws ValidationFailed at /query/cursor unless the cursor was made for this very scope. */
export function decodeCursor(scope: CursorScope, cursor: string): CursorKey {
  const parts = parse(cursor);
  if (parts === undefined) throw invalid();
  const [version, sort, digest, key] = parts;
  if (version !== CURSOR_VERSION || sort !== scope.sort || digest !== scopeDigest(scope) || !isKey(key))
    throw invalid();
  return key;
}

function parse(cursor: string): unknown[] | undefined {
  if (cursor.length > MAX_CURSOR_LENGTH || !/^[A-Za-z0-9_-]+$/.test(cursor)) return undefined;
  try {
    const value: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
    return Array.isArray(value) && value.length === 4 ? value : undefined;
  } catch {
    return undefined;
  }
}

function isKey(value: unknown): value is CursorKey {
  if (!Array.isArray(value) || value.length === 0 || value.length > 4) return false;
  // A NUL would be an error of the database instead of the caller.
  return value.every((part) => (typeof part === 'string' ? !part.includes('\0') : Number.isFinite(part)));
}

// Not a MAC: a cursor gives no access, every query is bound to the caller's workspace anyway. The digest catches mix-ups.
function scopeDigest(scope: CursorScope): string {
  const filters = Object.entries(scope.filters ?? {})
    .filter(([, value]) => value !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const text = JSON.stringify([scope.route, scope.workspaceId, scope.sort, filters]);
  return createHash('sha256').update(text).digest('base64url').slice(0, 22);
}

function invalid(): ValidationFailed {
  return new ValidationFailed([{ pointer: '/query/cursor', detail: 'is not a cursor of this list' }]);
}
