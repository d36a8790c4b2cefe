import type { Denial } from '../admission/check.ts';
import { CodedError } from '../errors.ts';

/** A use case that the agent's present state rules out (409); nothing changed and nothing was decided. */
export class PromotionConflict extends CodedError {
  readonly code: 'ALREADY_GOVERNED' | 'NOT_QUARANTINED';

  constructor(code: PromotionConflict['code'], message: string) {
    super(message);
    this.code = code;
  }
}

/** A promotion that approvers decide is not in a state for this (409). What lapsed by it is committed. */
export class ApprovalConflict extends CodedError {
  readonly code: 'APPROVAL_STALE' | 'APPROVAL_EXPIRED' | 'APPROVAL_GIVEN' | 'PROMOTION_DECIDED' | 'PROMOTION_PENDING';

  constructor(code: ApprovalConflict['code'], message: string, members: Readonly<Record<string, unknown>> = {}) {
    super(message, { members });
    this.code = code;
  }
}

/** Nobody decides what they asked for themselves (403), whatever their roles. The route turns it into a refused access. */
export class OwnRequest extends CodedError {
  readonly code = 'PERMISSION_DENIED';

  constructor() {
    super('whoever asked for a promotion does not decide it');
  }
}

/** The agent is not one that a policy could be asked about (403). Thrown after event and ledger row are committed. */
export class PromotionRefused extends CodedError {
  readonly code: 'ADMISSION_DENIED' | 'AGENT_QUARANTINED' | 'WORKSPACE_SUSPENDED';
  readonly promotionId: string;
  readonly decisionId: string;
  readonly denies: readonly Denial[];

  constructor(promotionId: string, decisionId: string, denies: readonly Denial[]) {
    super(textOf(denies), { members: { promotionId, decisionId, denies } });
    const codes = denies.map((deny) => deny.code);
    this.code =
      (['WORKSPACE_SUSPENDED', 'AGENT_QUARANTINED'] as const).find((code) => codes.includes(code)) ??
      'ADMISSION_DENIED';
    this.promotionId = promotionId;
    this.decisionId = decisionId;
    this.denies = denies;
  }
}

/** The agent stays in quarantine (403). Thrown after event and ledger row are committed. */
export class ReleaseDenied extends CodedError {
  readonly code = 'RELEASE_DENIED';
  readonly decisionId: string;
  readonly denies: readonly Denial[];

  constructor(decisionId: string, denies: readonly Denial[]) {
    super(textOf(denies), { members: { decisionId, denies } });
    this.decisionId = decisionId;
    this.denies = denies;
  }
}

function textOf(denies: readonly Denial[]): string {
  return denies.map((deny) => `${deny.code}: ${deny.reason}`).join('; ');
}
