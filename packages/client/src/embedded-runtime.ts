import { createCaller } from './caller.ts';
import type { CallDefaults } from './options.ts';
import { createRequester, type Requester } from './requester.ts';
import { createRuntime, type OrchestratorRuntime } from './runtime.ts';
import { createServers } from './servers.ts';
import { type SendOptions, type Transport, TransportError, type WireAnswer, type WireRequest } from './transport.ts';

/** Gives a request to the service in this process, as a principal that was fixed when it was made, and waits for the answer. */
export interface EmbeddedDispatcher {
  dispatch(request: EmbeddedRequest): Promise<EmbeddedAnswer>;
}

export interface EmbeddedRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
  readonly signal: AbortSignal;
}

export interface EmbeddedAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: Uint8Array;
}

/** The service in this process, without a socket. Answers and errors are those of the network. */
export interface EmbeddedRuntime extends OrchestratorRuntime {
  /** Every other operation. */
  readonly client: Requester;
}

export function createEmbeddedRuntime(dispatcher: EmbeddedDispatcher, options: CallDefaults = {}): EmbeddedRuntime {
  const transport: Transport = {
    send: (request, sending) => send(dispatcher, request, sending),
    close: () => Promise.resolve(),
  };
  const client = createRequester(createCaller({ transport, servers: createServers(['embedded']), defaults: options }));
  return { ...createRuntime(client), client };
}

async function send(dispatcher: EmbeddedDispatcher, request: WireRequest, options: SendOptions): Promise<WireAnswer> {
  const { signal, maxAnswerBytes } = options;
  if (signal.aborted) throw new TransportError('unsent', 'aborted');
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const stop = (): void => reject(new TransportError('lost', 'aborted'));
  signal.addEventListener('abort', stop, { once: true });
  try {
    const answer = await Promise.race([aborted, dispatcher.dispatch({ ...request, signal })]);
    if (answer.body.length > maxAnswerBytes) {
      throw new TransportError('too-large', `the answer has more than ${maxAnswerBytes} bytes`);
    }
    return answer;
  } catch (error) {
    if (error instanceof TransportError) throw error;
    throw new TransportError('lost', 'the embedded service gave no answer', error);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
