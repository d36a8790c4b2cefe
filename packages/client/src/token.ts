import { credentialsError } from './errors.ts';
import type { TokenSource } from './options.ts';
import { TransportError } from './transport.ts';

// RFC 6750 §2.1, b64token.
const TOKEN = /^[A-Za-z0-9._~+/-]+=*$/;
const MAX_TOKEN_LENGTH = 8192;

/** Gives the authorization header of each request. Its errors never hold the token, nor what the source has thrown. */
export function bearerOf(source: TokenSource | undefined): (signal: AbortSignal) => Promise<string | undefined> {
  if (typeof source === 'string') {
    const header = headerFor(source);
    return async () => header;
  }
  return async (signal) => {
    if (source === undefined) return undefined;
    return headerFor(await unlessAborted(signal, source));
  };
}

function headerFor(token: unknown): string {
  if (typeof token !== 'string' || token.length > MAX_TOKEN_LENGTH || !TOKEN.test(token)) {
    throw credentialsError('the token is not a bearer token');
  }
  return `Bearer ${token}`;
}

async function unlessAborted(signal: AbortSignal, source: () => string | Promise<string>): Promise<string> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const stop = (): void => reject(new TransportError('unsent', 'aborted'));
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await Promise.race([aborted, Promise.resolve().then(source)]);
  } catch (error) {
    if (error instanceof TransportError) throw error;
    throw credentialsError('the token provider failed');
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
