import { SignerError } from '../../../crypto/signer.ts';
import { TransientFailure } from '../attempts.ts';
import { connectionFailure } from '../connection-failure.ts';

const THROTTLED: ReadonlySet<string> = new Set(['ThrottlingException', 'Throttling', 'TooManyRequestsException']);

interface Answer {
  readonly status?: number;
  readonly requestId?: string;
  /** The SDK has set its clock right by the answer: the next attempt is signed with the right time. */
  readonly clockSet: boolean;
}

/**
 * What an error of the SDK means. Only the name of it and the id of the request are kept: a message of KMS can quote the
 * request that it refuses, session token included, and the objects of the SDK hold headers.
 */
export function kmsFailure(operation: string, error: unknown): SignerError {
  if (error instanceof SignerError) return error;
  const name = error instanceof Error ? error.name : 'unknown error';
  const { status, requestId, clockSet } = answerOf(error);
  const code = connectionFailure(error) ?? name;
  const message = `KMS ${operation}: ${code}${requestId === undefined ? '' : ` (request ${requestId})`}`;
  const mayPass =
    connectionFailure(error) !== undefined || THROTTLED.has(name) || status === 429 || (status ?? 0) >= 500 || clockSet;
  return mayPass ? new TransientFailure(message) : new SignerError(message);
}

function answerOf(error: unknown): Answer {
  if (!(error instanceof Error && '$metadata' in error)) return { clockSet: false };
  const { $metadata: metadata } = error;
  if (typeof metadata !== 'object' || metadata === null) return { clockSet: false };
  return {
    ...('httpStatusCode' in metadata &&
      typeof metadata.httpStatusCode === 'number' && { status: metadata.httpStatusCode }),
    ...('requestId' in metadata && typeof metadata.requestId === 'string' && { requestId: metadata.requestId }),
    clockSet: 'clockSkewCorrected' in metadata && metadata.clockSkewCorrected === true,
  };
}
