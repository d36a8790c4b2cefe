import type { EventType } from '../event-types.ts';

/** The version of the public schema that the classes, activities and members here are those of. */
export const OCSF_VERSION = '1.8.0';

/** The classes that are used, with the numbers of their activities. */
export const OCSF_CLASSES = {
  log: {
    uid: 1008,
    name: 'Event Log Activity',
    category: 'System Activity',
    activities: { Delete: 2 },
  },
  finding: { uid: 2004, name: 'Detection Finding', category: 'Findings', activities: { Create: 1 } },
  entity: {
    uid: 3004,
    name: 'Entity Management',
    category: 'Identity & Access Management',
    activities: {
      Create: 1,
      Update: 3,
      Delete: 4,
      Enable: 8,
      Disable: 9,
      Activate: 10,
      Suspend: 12,
      Resume: 13,
    },
  },
  app: {
    uid: 6002,
    name: 'Application Lifecycle',
    category: 'Application Activity',
    activities: { Start: 3, Stop: 4 },
  },
  api: { uid: 6003, name: 'API Activity', category: 'Application Activity', activities: {} },
} as const;

/** `activity_id` of what the class has no number for; `activity_name` then says what it was. */
export const OTHER = 99;
export const SEVERITIES = { Informational: 1, Low: 2, Medium: 3, High: 4, Critical: 5 } as const;
/** A finding's status is how far people are with it. */
export const STATUSES = { Success: 1, Failure: 2, New: 1 } as const;

export type OcsfClass = keyof typeof OCSF_CLASSES;

/** What an event is about: its kind, and the members of the payload with its id and name. */
export interface OcsfSubject {
  readonly type: string;
  readonly id: string;
  readonly name?: string;
}

interface RowOf<C extends OcsfClass> {
  readonly class: C;
  /** One of the class's own, or a name of ours. */
  readonly activity: keyof (typeof OCSF_CLASSES)[C]['activities'] | { readonly other: string };
  readonly severity: keyof typeof SEVERITIES;
  readonly status: keyof typeof STATUSES;
  readonly subject?: OcsfSubject;
}

export type OcsfRow = { [C in OcsfClass]: RowOf<C> }[OcsfClass];

type Activity<C extends OcsfClass> = RowOf<C>['activity'];
type Rest = Partial<Pick<OcsfRow, 'severity' | 'status'>>;

const AGENT = { type: 'Agent', id: 'agentId' };
const POLICY = { type: 'Policy', id: 'policyHash', name: 'policySet' };
const SIGNER = { type: 'Signing key', id: 'signerId' };
const WORKSPACE = { type: 'Workspace', id: 'workspaceId' };
const PROMOTION = { type: 'Promotion', id: 'promotionId' };
const TEMPLATE = { type: 'Template', id: 'templateId' };
const MANIFEST = { type: 'Manifest', id: 'manifestId' };
const KILL_SWITCH = { type: 'Kill switch', id: 'scope' };
const LOCK = { type: 'Access lock', id: 'lockId' };
const ELEVATION = { type: 'Elevation', id: 'elevationId' };
const PROOF = { type: 'Proof', id: 'proofId' };
const SANDBOX_RUN = { type: 'Sandbox run', id: 'runId' };
const REFUSED: Rest = { status: 'Failure', severity: 'Medium' };

/** How each type of event is told. A type without a row does not compile; docs/streams.md shows this table. */
export const OCSF_TABLE: Readonly<Record<EventType, OcsfRow>> = {
  'workspace.created': entity('Create', { type: 'Workspace', id: 'workspaceId', name: 'displayName' }),
  'workspace.settings.changed': entity('Update', WORKSPACE, { severity: 'Medium' }),
  'workspace.suspended': entity('Suspend', WORKSPACE, { severity: 'High' }),
  'workspace.resumed': entity('Resume', WORKSPACE, { severity: 'Medium' }),
  'agent.created': entity('Create', AGENT),
  'agent.updated': entity('Update', AGENT),
  'agent.forked': entity('Create', AGENT),
  'agent.deleted': entity('Delete', AGENT),
  'agent.start.allowed': app('Start'),
  'agent.start.denied': app('Start', REFUSED),
  'agent.stopped': app('Stop', { severity: 'Low' }),
  'agent.launched': app('Start'),
  'agent.exited': app('Stop'),
  'agent.failed': app('Stop', { status: 'Failure', severity: 'Medium' }),
  'sandbox.run.created': app('Start', {}, SANDBOX_RUN),
  'sandbox.run.denied': app('Start', REFUSED),
  'sandbox.run.completed': app('Stop', {}, SANDBOX_RUN),
  'sandbox.run.failed': app('Stop', {}, SANDBOX_RUN),
  'sandbox.run.timeout': app('Stop', { severity: 'Low' }, SANDBOX_RUN),
  'sandbox.run.killed': app('Stop', { severity: 'Medium' }, SANDBOX_RUN),
  'sandbox.run.cancelled': app('Stop', {}, SANDBOX_RUN),
  'sandbox.run.error': app('Stop', { status: 'Failure', severity: 'Medium' }, SANDBOX_RUN),
  'agent.scaled': entity('Update', AGENT),
  'agent.expired': app('Stop', { severity: 'Low' }),
  'agent.quarantined': entity('Suspend', AGENT, { severity: 'High' }),
  'agent.released': entity('Resume', AGENT, { severity: 'Medium' }),
  'agent.release.denied': entity('Resume', AGENT, REFUSED),
  'agent.revalidated': entity({ other: 'Revalidate' }, AGENT),
  'agent.invalidated': entity('Disable', AGENT, { severity: 'High' }),
  'promotion.requested': entity({ other: 'Request' }, PROMOTION),
  'promotion.approval.given': entity({ other: 'Approve' }, PROMOTION),
  'promotion.rejected': entity({ other: 'Reject' }, PROMOTION, REFUSED),
  'promotion.lapsed': entity({ other: 'Lapse' }, PROMOTION),
  'promotion.approved': entity('Enable', AGENT),
  'promotion.denied': entity('Enable', AGENT, REFUSED),
  'proof.issued': entity('Create', PROOF),
  'proof.renewed': entity('Create', PROOF),
  'proof.mass.renewed': entity('Create', { type: 'Proof', id: 'statementDigest' }),
  'template.created': entity('Create', TEMPLATE),
  'template.updated': entity('Update', TEMPLATE),
  'template.deleted': entity('Delete', TEMPLATE),
  'manifest.accepted': entity({ other: 'Accept' }, MANIFEST),
  'manifest.rejected': entity({ other: 'Accept' }, MANIFEST, REFUSED),
  'killswitch.engaged': entity({ other: 'Engage' }, KILL_SWITCH, { severity: 'Critical' }),
  'killswitch.cleared': entity({ other: 'Clear' }, KILL_SWITCH, { severity: 'High' }),
  'policy.activated': entity('Activate', POLICY, { severity: 'Medium' }),
  'policy.rolledback': entity('Activate', POLICY, { severity: 'High' }),
  'policy.shadowed': entity({ other: 'Shadow' }, POLICY),
  'policy.rejected': entity('Activate', { type: 'Policy', id: 'policySet' }, REFUSED),
  'revalidation.requested': entity({ other: 'Revalidate' }, { type: 'Policy', id: 'policyHash' }),
  'signer.registered': entity('Create', SIGNER, { severity: 'Medium' }),
  'signer.rotation.requested': entity({ other: 'Request' }, SIGNER, { severity: 'Medium' }),
  'signer.rotation.applied': entity('Activate', SIGNER, { severity: 'Medium' }),
  'signer.retired': entity('Disable', SIGNER, { severity: 'Medium' }),
  'signer.range.closed': entity('Update', SIGNER),
  'signer.revoked': entity('Disable', SIGNER, { severity: 'High' }),
  'signer.compromise': row('finding', 'Create', { severity: 'Critical', status: 'New' }, SIGNER),
  'identity.map.applied': entity('Update', { type: 'Identity map', id: 'digest' }, { severity: 'Medium' }),
  'trust.bundle.applied': entity('Update', { type: 'Trust bundle', id: 'digest' }, { severity: 'High' }),
  'server.certificate.applied': entity('Update', { type: 'Server certificate', id: 'fingerprint' }),
  'revocations.applied': entity('Update', { type: 'Revocation list', id: 'digest' }, { severity: 'Medium' }),
  'token.issuers.applied': entity('Update', { type: 'Token issuers', id: 'digest' }, { severity: 'High' }),
  'identity.reload.refused': entity('Update', { type: 'Identity source', id: 'source' }, REFUSED),
  'access.lock.placed': entity('Create', LOCK, { severity: 'High' }),
  'access.lock.released': entity('Delete', LOCK, { severity: 'Medium' }),
  'access.breakglass.granted': entity('Create', ELEVATION, { severity: 'Critical' }),
  'access.breakglass.used': entity({ other: 'Use' }, ELEVATION, { severity: 'High' }),
  'access.breakglass.ended': entity('Delete', ELEVATION, { severity: 'Medium' }),
  'access.denied': row('api', { other: 'Refused' }, REFUSED),
  'audit.deferred.covered': log({ other: 'Cover' }, { severity: 'Low' }),
  'audit.signmode.switched': log({ other: 'Switch' }, { severity: 'Low' }),
  'audit.range.reattested': log({ other: 'Reattest' }, { severity: 'High' }),
  'audit.hold.placed': log({ other: 'Hold' }, { severity: 'Medium' }),
  'audit.hold.released': log({ other: 'Release' }, { severity: 'Medium' }),
  'audit.pruned': log('Delete', { severity: 'High' }),
  'erasure.performed': entity('Delete', { type: 'Personal data', id: 'erasureId' }, { severity: 'Medium' }),
};

function row<C extends OcsfClass>(
  name: C,
  activity: Activity<C>,
  { severity = 'Informational', status = 'Success' }: Rest = {},
  subject?: OcsfSubject,
): RowOf<C> {
  return { class: name, activity, severity, status, ...(subject === undefined ? {} : { subject }) };
}

function entity(activity: Activity<'entity'>, subject: OcsfSubject, rest?: Rest): OcsfRow {
  return row('entity', activity, rest, subject);
}

function app(activity: Activity<'app'>, rest?: Rest, subject: OcsfSubject = AGENT): OcsfRow {
  return row('app', activity, rest, subject);
}

function log(activity: Activity<'log'>, rest?: Rest): OcsfRow {
  return row('log', activity, rest);
}
