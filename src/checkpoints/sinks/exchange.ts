import { CheckpointError } from '../errors.ts';

/** Bytes of an answer; what is longer is none that we asked for. */
const MAX_REPLY_BYTES = 65_536;

export interface Reply {
  readonly status: number;
  readonly contentType: string | undefined;
  readonly body: Uint8Array;
}

/** One request with a body. Redirects are not followed: who answers is who was configured. SINK_FAILED when nothing answers. */
export async function exchange(
  url: string,
  request: { method: 'POST' | 'PUT'; headers: Record<string, string>; body: string },
  signal: AbortSignal,
): Promise<Reply> {
  try {
    const response = await fetch(url, { ...request, redirect: 'manual', signal });
    const body = await bounded(response);
    return { status: response.status, contentType: response.headers.get('content-type') ?? undefined, body };
  } catch (cause) {
    if (cause instanceof CheckpointError) throw cause;
    throw new CheckpointError('SINK_FAILED', `no answer from ${new URL(url).host}`, cause);
  }
}

async function bounded(response: Response): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  // Leaving the loop cancels the rest.
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > MAX_REPLY_BYTES) throw new CheckpointError('SINK_FAILED', 'the answer is too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
