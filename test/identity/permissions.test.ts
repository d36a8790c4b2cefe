import { readFileSync } from 'node:fs';
import t from 'tap';
import { isGranted, isPermission, PERMISSIONS } from '../../src/identity/permissions.ts';
import { ROLES } from '../../src/roles.ts';

interface Row {
  readonly why: string;
  readonly permissions: readonly string[];
  readonly roles: readonly string[];
}

const rows: Row[] = JSON.parse(readFileSync(new URL('./permissions.json', import.meta.url), 'utf8'));

t.test('every role against every permission, as the contract has it', async (t) => {
  for (const { why, permissions, roles } of rows) {
    for (const permission of permissions) {
      t.ok(isPermission(permission), permission);
      if (!isPermission(permission)) continue;
      for (const role of ROLES)
        t.equal(isGranted([role], permission), roles.includes(role), `${role} ${permission}: ${why}`);
    }
  }
});

t.test('no permission is missing from the restated table', async (t) => {
  t.same(Object.keys(PERMISSIONS).toSorted(), rows.flatMap((row) => row.permissions).toSorted());
});

t.test('a principal has what any of its roles has, and nothing without roles', async (t) => {
  t.ok(isGranted(['gateway', 'auditor'], 'audit.read'));
  t.notOk(isGranted([], 'agents.read'));
  t.notOk(isPermission('constructor'));
});
