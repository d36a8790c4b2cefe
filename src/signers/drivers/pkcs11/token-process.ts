import { returnValue } from './cryptoki.ts';
import { TokenFailure, type TokenReply, type TokenRequest } from './messages.ts';
import { openToken, type Token } from './token.ts';

// The entry of the process that the vendor's library runs in: one reply to each request, in order.
let token: Token | undefined;

// Ctrl-C goes to the whole group; the service still needs signatures while it drains.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stay);
process.on('message', (request: TokenRequest) => void answer(request));
process.on('disconnect', () => token?.close());

async function answer(request: TokenRequest): Promise<void> {
  process.send?.(await replyTo(request).catch(failure));
}

async function replyTo(request: TokenRequest): Promise<TokenReply> {
  if ('open' in request) {
    token = await openToken(request.open);
    return { opened: token.key };
  }
  if (token === undefined) throw new TokenFailure('refused', 'not opened');
  if ('sign' in request) return { signature: token.sign(request.sign) };
  if ('verify' in request) return { valid: token.verify(request.verify, request.signature) };
  token.probe();
  return { ready: true };
}

/** Only what we say ourselves is handed on: a vendor's message could quote anything. */
function failure(error: unknown): TokenReply {
  if (error instanceof TokenFailure) return { failure: error.kind, message: error.message };
  return { failure: 'passing', message: returnValue(error) };
}

/** Ends with the connection to the service, not before. */
function stay(): undefined {
  return undefined;
}
