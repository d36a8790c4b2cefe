import type { Denial } from '../admission/check.ts';
import type { EventReceipt } from '../audit/event.ts';
import { CodedError } from '../errors.ts';

export type AgentErrorCode =
  | 'AGENT_RUNNING' // stop it first
  | 'AGENT_NOT_RUNNING' // start it first
  | 'SPEC_FROZEN' // a governed spec never changes; fork the agent
  | 'SPEC_NOT_CANONICAL' // no RFC 8785 form, or one too large
  | 'UNPROCESSABLE'; // the stored spec is not what its hash says

/** A use case on an agent that did not happen; nothing changed. */
export class AgentError extends CodedError {
  readonly code: AgentErrorCode;

  constructor(code: AgentErrorCode, message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

/** A start that governance refused. Thrown after its event and its ledger row are committed. */
export class AdmissionDenied extends CodedError {
  readonly code: 'ADMISSION_DENIED' | 'AGENT_QUARANTINED' | 'KILL_SWITCH' | 'WORKSPACE_SUSPENDED';
  readonly decisionId: string;
  readonly denies: readonly Denial[];
  readonly auditEvent: EventReceipt;

  constructor(decisionId: string, denies: readonly Denial[], auditEvent: EventReceipt) {
    super(denies.map((deny) => `${deny.code}: ${deny.reason}`).join('; '), {
      members: { decisionId, denies, auditEvent },
    });
    this.code = problemCode(denies);
    this.decisionId = decisionId;
    this.denies = denies;
    this.auditEvent = auditEvent;
  }
}

/** The code that fits best: what a person has to mend before anything else counts. */
function problemCode(denies: readonly Denial[]): AdmissionDenied['code'] {
  const codes = denies.map((deny) => deny.code);
  if (codes.includes('KILL_SWITCH')) return 'KILL_SWITCH';
  if (codes.includes('WORKSPACE_SUSPENDED')) return 'WORKSPACE_SUSPENDED';
  return codes.includes('AGENT_QUARANTINED') ? 'AGENT_QUARANTINED' : 'ADMISSION_DENIED';
}
