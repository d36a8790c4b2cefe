import type { Role } from '../roles.ts';

const READERS = ['operator', 'orchestrator', 'kernel-approver', 'kernel-admin', 'auditor'] as const;
const OPERATORS = ['operator', 'orchestrator', 'kernel-admin'] as const;
const APPROVERS = ['kernel-approver', 'kernel-admin'] as const;
const ADMINS = ['kernel-admin'] as const;
const AUDITORS = ['kernel-admin', 'auditor'] as const;

/**
 * The one table of who may do what (contract §3). The role `agent` is always "own only": the plugin lets it pass for its own
 * agent id alone. `gateway` has no permission: it only carries the tokens of others.
 */
export const PERMISSIONS = {
  'workspaces.read': [...READERS, 'agent'],
  'agents.read': [...READERS, 'agent'],
  'policy.read': [...READERS, 'agent'],
  'decisions.read': [...READERS, 'agent'],
  'promotion.read': READERS,
  'proofs.verify': [...READERS, 'agent'],
  'templates.read': READERS,
  'settings.read': READERS,

  'agents.write': OPERATORS,
  'agents.run': OPERATORS,
  'sandbox.run': OPERATORS,
  'templates.write': OPERATORS,
  'promotion.request': OPERATORS,

  'promotion.decide': APPROVERS,
  'approvals.decide': [...APPROVERS, 'agent'],

  'policy.write': ADMINS,
  'policy.revalidate': ADMINS,
  'agents.quarantine': ADMINS,
  'signers.write': ADMINS,
  'settings.write': ADMINS,
  'workspaces.write': ADMINS,
  'killswitch.write': ADMINS,
  'access.lock': ADMINS,
  'access.elevate': ADMINS,
  'audit.prune': ADMINS,
  'audit.erase': ADMINS,
  'audit.hold': ADMINS,

  'signers.read': ['kernel-admin', 'auditor', 'kernel-approver'],
  'audit.read': AUDITORS,
  'access.read': AUDITORS,
  'compliance.read': AUDITORS,

  'agents.emergency-stop': [...OPERATORS, 'agent'],
  evaluate: [...OPERATORS, 'agent'],
  report: [...OPERATORS, 'agent'],
} as const satisfies Record<string, readonly Role[]>;

export type Permission = keyof typeof PERMISSIONS;

/** True for a permission of the table. */
export function isPermission(name: string): name is Permission {
  return Object.hasOwn(PERMISSIONS, name);
}

const GRANTED: Readonly<Record<string, ReadonlySet<Role>>> = Object.fromEntries(
  Object.entries(PERMISSIONS).map(([permission, roles]) => [permission, new Set<Role>(roles)]),
);

/** True when one of the roles has the permission. */
export function isGranted(roles: readonly Role[], permission: Permission): boolean {
  const granted = GRANTED[permission];
  for (const role of roles) if (granted?.has(role) === true) return true;
  return false;
}
