import { OutgoingError, type OutgoingRequest, exchange as send } from '../../http/outgoing.ts';
import { CheckpointError } from '../errors.ts';

export interface Reply {
  readonly status: number;
  readonly contentType: string | undefined;
  readonly body: Uint8Array;
}

/** One request with a body. SINK_FAILED when nothing answers. */
export async function exchange(url: string, request: OutgoingRequest, signal: AbortSignal): Promise<Reply> {
  try {
    const { status, headers, body } = await send(url, request, signal);
    return { status, contentType: headers.get('content-type') ?? undefined, body };
  } catch (cause) {
    if (cause instanceof OutgoingError) throw new CheckpointError('SINK_FAILED', cause.message, cause.cause);
    throw cause;
  }
}
