// Writes the table of permissions into docs/identity.md from src/identity/permissions.ts and openapi.yaml; a test fails when it is stale.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

import { PERMISSIONS } from '../src/identity/permissions.ts';
import { ROLES, type Role } from '../src/roles.ts';

const PAGE = new URL('../docs/identity.md', import.meta.url);
const API = new URL('../openapi.yaml', import.meta.url);
const BEGIN = '<!-- permissions: made by node scripts/build-permissions-table.ts -->';
const END = '<!-- /permissions -->';
/** `gateway` has no permission, so no column. */
const COLUMNS = ROLES.filter((role) => role !== 'gateway');

interface Operation {
  readonly operationId?: string;
  readonly 'x-permission'?: string;
}

/** The page with the table as it has to be. */
export function withPermissions(page: string, api: string): string {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin === -1 || end < begin) throw new Error('docs/identity.md has no place for the table of permissions');
  return `${page.slice(0, begin)}${BEGIN}\n\n${table(operationsOf(api))}\n\n${page.slice(end)}`;
}

function table(operations: ReadonlyMap<string, readonly string[]>): string {
  const head = ['permission', ...COLUMNS, 'operations'];
  const rows = Object.entries(PERMISSIONS).map(([name, roles]: [string, readonly Role[]]) => {
    const used = (operations.get(name) ?? []).toSorted().map((id) => `\`${id}\``);
    return [`\`${name}\``, ...COLUMNS.map((role) => mark(role, roles)), used.join(' ') || 'none yet'];
  });
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function mark(role: Role, granted: readonly Role[]): string {
  if (!granted.includes(role)) return '';
  return role === 'agent' ? 'own' : '✓';
}

function operationsOf(api: string): Map<string, string[]> {
  const { paths }: { paths: Record<string, Record<string, Operation>> } = parse(api);
  const found = new Map<string, string[]>();
  for (const { operationId, 'x-permission': permission } of Object.values(paths).flatMap((path) =>
    Object.values(path),
  )) {
    if (operationId === undefined || permission === undefined) continue;
    found.set(permission, [...(found.get(permission) ?? []), operationId]);
  }
  return found;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(PAGE, withPermissions(readFileSync(PAGE, 'utf8'), readFileSync(API, 'utf8')));
}
