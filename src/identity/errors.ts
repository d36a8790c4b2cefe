import { CodedError } from '../errors.ts';
import { SYSTEM_CHAIN } from '../ids.ts';
import type { Principal } from './principal.ts';

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
  | 'NO_IDENTITY'
  | 'CERTIFICATE_STATUS_UNKNOWN'
  | 'PRINCIPAL_LOCKED'
  | 'FORWARDED_MISSING'
  | 'FORWARDED_MALFORMED'
  | 'FORWARDED_AMBIGUOUS'
  | 'FORWARDED_BY_ANOTHER'
  | 'NO_TOKEN'
  | 'TOKEN_NOT_ACCEPTED'
  | 'TOKEN_MALFORMED'
  | 'TOKEN_ISSUER_UNKNOWN'
  | 'TOKEN_SIGNATURE_INVALID'
  | 'TOKEN_CLAIMS_INVALID'
  | 'TOKEN_EXPIRED'
  | 'TOKEN_BOUND_ELSEWHERE'
  | 'TOKEN_NOT_OF_A_HUMAN';

/** A principal that does not count now, or a SPIFFE ID that is nobody's. */
export type Claimed = Pick<Principal, 'id'> & { readonly kind: Principal['kind'] | 'unknown' };

/** No accepted identity. The reason is for the log: an answer that tells strangers what to fix helps the wrong ones. */
export class Unauthenticated extends CodedError {
  readonly code = 'UNAUTHENTICATED';
  readonly reason: UnauthenticatedReason;
  /** Who it would have been, where an authority of ours or a proxy vouches for the name; for the log and the audit. */
  readonly claimed: Claimed | undefined;
  constructor(reason: UnauthenticatedReason, claimed?: Claimed) {
    super('The connection brings no identity that is accepted here.');
    this.reason = reason;
    this.claimed = claimed;
  }
}

/** The keys of an issuer are not known here, and it cannot be asked: whether the token is good, nobody can say. */
export class IdentityProviderUnavailable extends CodedError {
  readonly code = 'IDENTITY_PROVIDER_UNAVAILABLE';
  constructor() {
    super('The issuer of the token cannot be asked for its keys.');
  }
}

/** Identity headers from a peer that is no proxy of ours (contract §3: 400). */
export class ForwardedByStranger extends CodedError {
  readonly code = 'MALFORMED_REQUEST';
  /** Undefined where there was no certificate. */
  readonly sender: Principal | undefined;
  constructor(sender: Principal | undefined) {
    super('x-forwarded-client-cert is accepted from proxies alone.');
    this.sender = sender;
  }
}

/** What the audit event `access.denied` needs to know. */
export interface DeniedAccess {
  /** The chain the event belongs to: a workspace of the caller's, else `_system`. */
  readonly chain: string;
  readonly reason:
    | 'ROLE'
    | 'FOREIGN_WORKSPACE'
    | 'FOREIGN_AGENT'
    | 'ALL_WORKSPACES_NEEDED'
    | 'NOT_DECLARED'
    | 'OWN_REQUEST'
    | 'NOT_A_HUMAN'
    | 'STOP_TOKEN';
  readonly principalId: string;
  readonly method: string;
  /** The route's pattern, never the path: bounded, and free of what the caller typed. */
  readonly route: string;
  /** The workspace asked for, as far as it is well-formed. */
  readonly workspaceId?: string;
}

/** A known caller who may not. The audit slice turns it into `access.denied`; identity itself writes nothing. */
export class AccessDenied extends CodedError {
  readonly code: 'NOT_FOUND' | 'PERMISSION_DENIED' | 'STOP_TOKEN_INVALID';
  readonly access: DeniedAccess;
  constructor(code: AccessDenied['code'], access: DeniedAccess, message = 'The caller may not do this.') {
    super(message);
    this.code = code;
    this.access = access;
  }

  /** 404: the workspace or agent asked for is not the caller's, whether it exists or not. */
  static foreign(access: Omit<DeniedAccess, 'chain'>): AccessDenied {
    return new AccessDenied('NOT_FOUND', { ...access, chain: SYSTEM_CHAIN });
  }
}

/** The workspace is the caller's, and suspended: what changes it, but for what ends or administers it, is refused (403). */
export class WorkspaceSuspended extends CodedError {
  readonly code = 'WORKSPACE_SUSPENDED';
  readonly workspaceId: string;
  constructor(workspaceId: string) {
    super('The workspace is suspended; resume it first.');
    this.workspaceId = workspaceId;
  }
}
