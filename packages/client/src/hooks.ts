import type { CastellanError } from './errors.ts';

export interface RequestEvent {
  readonly operation: string;
  readonly method: string;
  /** Without the query, which may hold what a user typed. */
  readonly path: string;
  /** Origin of the server, or `embedded`. */
  readonly server: string;
  /** From 1. */
  readonly attempt: number;
  readonly idempotencyKey: string | undefined;
  readonly traceparent: string | undefined;
}

export interface ResponseEvent extends RequestEvent {
  readonly durationMs: number;
  readonly status: number | undefined;
  readonly requestId: string | undefined;
  readonly replayed: boolean;
  readonly error: CastellanError | undefined;
}

export interface RetryEvent extends RequestEvent {
  readonly error: CastellanError;
  readonly delayMs: number;
  /** To another server at once: nothing had been sent. */
  readonly failover: boolean;
}

/** `reloaded`: new connections use the new files. `kept`: they cannot be used, and the last good ones stay. */
export type CertificateEvent =
  | { readonly state: 'reloaded' }
  | { readonly state: 'kept'; readonly error: CastellanError };

/** Called for logs and traces. What a hook throws is reported as a process warning and changes no call. */
export interface Hooks {
  readonly onRequest?: (event: RequestEvent) => void;
  readonly onResponse?: (event: ResponseEvent) => void;
  readonly onRetry?: (event: RetryEvent) => void;
  readonly onCertificates?: (event: CertificateEvent) => void;
}

export function tell<Event>(hook: ((event: Event) => void) | undefined, event: Event): void {
  try {
    hook?.(event);
  } catch {
    // Not its message: it is the caller's, and may hold anything.
    process.emitWarning('a hook has thrown', { type: 'CastellanClient', code: 'CASTELLAN_HOOK' });
  }
}
