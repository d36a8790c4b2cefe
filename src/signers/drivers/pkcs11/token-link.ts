import { SignerError } from '../../../crypto/signer.ts';
import { TransientFailure } from '../attempts.ts';
import { startChild, type TokenChild } from './child.ts';
import type { FailureKind, TokenKey, TokenPublicKey, TokenReply, TokenRequest } from './messages.ts';
import { createTurns } from './turns.ts';

/** ms for one call of the module: half of what a signature may take, so that a second process has the other half. */
const CALL_MS = 1000;
/** ms to load the module, log in and find the key. */
const OPEN_MS = 8000;
/** ms between two starts: an outage must not become a storm of processes and logins. */
const COOL_DOWN_MS = 500;

/** The token said no; `kind` says how. */
export class TokenRefusal extends SignerError {
  readonly kind: FailureKind;

  constructor(kind: FailureKind, message: string) {
    super(`PKCS#11: ${message}`);
    this.kind = kind;
  }
}

/** One key of a token, behind a process that is started anew when token, session or process are lost. */
export interface TokenLink {
  /** The public half; the token must have the same one whenever it is opened again. */
  open(signal: AbortSignal): Promise<TokenPublicKey>;
  /** In turn with all others. Rejects with SignerError: TransientFailure where another try may do. */
  ask(request: TokenRequest, signal: AbortSignal): Promise<Exclude<TokenReply, { failure: FailureKind }>>;
  close(): void;
}

interface Opened {
  readonly child: TokenChild;
  readonly key: TokenPublicKey;
}

export function createTokenLink(at: TokenKey): TokenLink {
  const turns = createTurns();
  let current: Opened | undefined;
  let first: TokenPublicKey | undefined;
  /** The token has refused the PIN: never again in this process, for each try counts towards locking it. */
  let pinRefused: TokenRefusal | undefined;
  let startedAt = Number.NEGATIVE_INFINITY;
  let starting: TokenChild | undefined;
  let last = 'PKCS#11: the token was lost';
  let closed = false;

  async function opened(): Promise<Opened> {
    if (closed) throw new SignerError('PKCS#11: closed');
    if (pinRefused !== undefined) throw pinRefused;
    if (current !== undefined && !current.child.ended) return current;
    const early = startedAt + COOL_DOWN_MS - performance.now();
    if (early > 0) throw new TransientFailure(last, { retryAfterMs: early });
    startedAt = performance.now();
    const child = startChild();
    starting = child;
    try {
      current = { child, key: await begin(child) };
      return current;
    } catch (error) {
      child.end();
      if (error instanceof Error) last = error.message;
      if (error instanceof TokenRefusal && error.kind === 'pin') pinRefused = error;
      throw error;
    } finally {
      starting = undefined;
    }
  }

  async function begin(child: TokenChild): Promise<TokenPublicKey> {
    const reply = accepted(await child.ask({ open: at }, OPEN_MS));
    if (!('opened' in reply)) throw new SignerError('PKCS#11: not an answer to what was asked');
    first ??= reply.opened;
    if (reply.opened.publicKey === first.publicKey) return reply.opened;
    throw new SignerError(`PKCS#11: ${at.key} is another key than it was at the start`);
  }

  async function ask(request: TokenRequest, signal: AbortSignal) {
    return turns.inTurn(signal, async () => {
      const { child } = await opened();
      // Whoever asked may have left while the token was opened.
      if (signal.aborted) throw new SignerError('PKCS#11: given up', { cause: signal.reason });
      try {
        return accepted(await child.ask(request, CALL_MS));
      } catch (error) {
        if (!(error instanceof TransientFailure)) throw error;
        // A new process begins with nothing that could be stale: library, slots, session, handles.
        child.end();
        last = error.message;
        throw error;
      }
    });
  }

  return {
    open: (signal) => turns.inTurn(signal, async () => (await opened()).key),
    ask,
    close() {
      closed = true;
      starting?.end();
      current?.child.end();
    },
  };
}

function accepted(reply: TokenReply): Exclude<TokenReply, { failure: FailureKind }> {
  if (!('failure' in reply)) return reply;
  if (reply.failure === 'passing') throw new TransientFailure(`PKCS#11: ${reply.message}`);
  throw new TokenRefusal(reply.failure, reply.message);
}
