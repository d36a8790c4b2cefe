import { usageError } from './errors.ts';
import type { Hooks } from './hooks.ts';
import type { BudgetOptions } from './retry-budget.ts';

/** The path of a PEM file, which is read again when it changes, or the PEM text itself. */
export type PemRef = string | { readonly pem: string };

/** A bearer token, or what gives one for each request. */
export type TokenSource = string | (() => string | Promise<string>);

export interface RetryOptions {
  /** Requests per call, the first included; going on to another server before anything was sent is not counted. Default 8. */
  readonly maxAttempts?: number;
  /** ms; the wait before repeat n is uniform in [0, min(maxDelayMs, baseDelayMs · 2ⁿ⁻¹)). Default 100. */
  readonly baseDelayMs?: number;
  /** ms. Default 5,000. A longer Retry-After is honoured all the same. */
  readonly maxDelayMs?: number;
  /** Shared by all calls of the client. */
  readonly budget?: BudgetOptions;
}

/** What every call follows, over the network or in process. */
export interface CallDefaults {
  /** ms for a whole call, waits and repeats included. Default 30,000; longer for operations that take longer. */
  readonly deadlineMs?: number;
  /** ms for one request. Default 15,000; longer for operations that take longer. */
  readonly attemptTimeoutMs?: number;
  /** Bytes of an answer that are read. Default 16 MiB. */
  readonly maxAnswerBytes?: number;
  readonly retry?: RetryOptions;
  readonly hooks?: Hooks;
  /** Gives the W3C `traceparent` of a call, e.g. from the active span. */
  readonly traceparent?: () => string | undefined;
}

export interface ClientOptions extends CallDefaults {
  /** https URLs of instances of one service; a failing one is left for the next. */
  readonly serverUrls: readonly string[];
  /** False accepts any server certificate: whoever is on the path reads and forges everything. Warns on every start. */
  readonly verify?: boolean;
  /** Authorities of the server; without it those of Node. */
  readonly caCertPemRef?: PemRef;
  readonly clientCertPemRef?: PemRef;
  readonly clientKeyPemRef?: PemRef;
  /** ms between looks at the PEM files. Default 5,000. */
  readonly certificateCheckMs?: number;
  readonly token?: TokenSource;
  /** ms to a connection, TLS included. Default 3,000. */
  readonly connectTimeoutMs?: number;
  /** Connections per server. Default 64. */
  readonly connections?: number;
}

export interface CallOptions {
  readonly signal?: AbortSignal;
  readonly deadlineMs?: number;
  readonly attemptTimeoutMs?: number;
  /** For a POST that acts; the client makes one up unless it is given. */
  readonly idempotencyKey?: string;
  /** The change is made only if the resource still has this ETag. */
  readonly ifMatch?: string;
  /** Answers 304 without a body when the resource still has this ETag. */
  readonly ifNoneMatch?: string;
}

/** What a timer takes; a longer one would fire at once. */
const MAX_TIMER = 2 ** 31 - 1;

/** A positive number, or the default. Infinity and NaN would switch a limit off without a word. */
export function positive(name: string, value: number | undefined, otherwise: number): number {
  if (value === undefined) return otherwise;
  if (!(value > 0 && value <= MAX_TIMER)) throw usageError(`${name} must be a positive number, at most ${MAX_TIMER}`);
  return value;
}

/** Origins of https URLs, without duplicates. */
export function serverOrigins(urls: readonly string[]): readonly string[] {
  if (!Array.isArray(urls) || urls.length === 0) throw usageError('serverUrls needs at least one URL');
  return [...new Set(urls.map(originOf))];
}

// The URL is not repeated in the message: it may hold a password.
function originOf(text: string, index: number): string {
  const url = URL.parse(text);
  if (url === null) throw usageError(`serverUrls[${index}] is not a URL`);
  if (url.protocol !== 'https:') throw usageError(`serverUrls[${index}] is not https`);
  const bare = url.username === '' && url.password === '' && url.search === '' && url.hash === '';
  if (!bare || url.pathname !== '/') throw usageError(`serverUrls[${index}] may have a host and a port, nothing else`);
  return url.origin;
}
