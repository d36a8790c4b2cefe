import { CodedError } from '../errors.ts';
import { SYSTEM_CHAIN } from '../ids.ts';

export type UnauthenticatedReason =
  | 'NO_CERTIFICATE'
  | 'NOT_TRUSTED'
  | 'CERTIFICATE_MALFORMED'
  | 'CERTIFICATE_EXPIRED'
  | 'CERTIFICATE_NOT_YET_VALID'
  | 'CERTIFICATE_REVOKED'
  | 'CERTIFICATE_IS_CA'
  | 'CERTIFICATE_NOT_FOR_CLIENTS'
  | 'KEY_TOO_WEAK'
  | 'SPIFFE_ID_INVALID'
  | 'TRUST_DOMAIN_UNKNOWN'
  | 'NOT_IN_IDENTITY_MAP'
  | 'NO_IDENTITY';

/** No accepted identity. The reason is for the log: an answer that tells strangers what to fix helps the wrong ones. */
export class Unauthenticated extends CodedError {
  readonly code = 'UNAUTHENTICATED';
  readonly reason: UnauthenticatedReason;
  constructor(reason: UnauthenticatedReason) {
    super('The connection brings no identity that is accepted here.');
    this.reason = reason;
  }
}

/** What the audit event `access.denied` needs to know. */
export interface DeniedAccess {
  /** The chain the event belongs to: a workspace of the caller's, else `_system`. */
  readonly chain: string;
  readonly reason: 'ROLE' | 'FOREIGN_WORKSPACE' | 'FOREIGN_AGENT' | 'ALL_WORKSPACES_NEEDED' | 'NOT_DECLARED';
  readonly principalId: string;
  readonly method: string;
  /** The route's pattern, never the path: bounded, and free of what the caller typed. */
  readonly route: string;
  /** The workspace asked for, as far as it is well-formed. */
  readonly workspaceId?: string;
}

/** A known caller who may not. The audit slice turns it into `access.denied`; identity itself writes nothing. */
export class AccessDenied extends CodedError {
  readonly code: 'NOT_FOUND' | 'PERMISSION_DENIED';
  readonly access: DeniedAccess;
  constructor(code: 'NOT_FOUND' | 'PERMISSION_DENIED', access: DeniedAccess) {
    super('The caller may not do this.');
    this.code = code;
    this.access = access;
  }

  /** 404: the workspace or agent asked for is not the caller's, whether it exists or not. */
  static foreign(access: Omit<DeniedAccess, 'chain'>): AccessDenied {
    return new AccessDenied('NOT_FOUND', { ...access, chain: SYSTEM_CHAIN });
  }
}
