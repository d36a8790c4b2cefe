/** Every role there is (contract §3). */
export const ROLES = [
  'operator',
  'orchestrator',
  'kernel-approver',
  'kernel-admin',
  'auditor',
  'agent',
  'gateway',
] as const;

export type Role = (typeof ROLES)[number];
