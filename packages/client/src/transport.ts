export interface WireRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
}

export interface WireAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: Uint8Array;
}

export interface SendOptions {
  readonly server: string;
  readonly signal: AbortSignal;
  readonly maxAnswerBytes: number;
}

/** Carries one request to one server. Throws TransportError, whatever the reason. */
export interface Transport {
  send(request: WireRequest, options: SendOptions): Promise<WireAnswer>;
  close(): Promise<void>;
}

/**
 * `unsent`: no byte of the request left, so repeating is free of doubt. `untrusted`: unsent, and asking the same server again
 * cannot help. `lost`: the request may have arrived. `too-large`: the answer did not stop. `closed`: the client was closed.
 */
export type TransportFault = 'unsent' | 'untrusted' | 'lost' | 'too-large' | 'closed';

export class TransportError extends Error {
  readonly fault: TransportFault;
  constructor(fault: TransportFault, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.fault = fault;
  }
}

/** The one value of a header; undefined when it is absent or repeated. */
export function headerOf(headers: WireAnswer['headers'], name: string): string | undefined {
  const value = headers[name];
  return typeof value === 'string' ? value : undefined;
}
