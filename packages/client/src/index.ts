export { type CastellanClient, createClient } from './client.ts';
export {
  createEmbeddedRuntime,
  type EmbeddedAnswer,
  type EmbeddedDispatcher,
  type EmbeddedRequest,
  type EmbeddedRuntime,
} from './embedded-runtime.ts';
export { optionsFromEnv } from './env.ts';
export { CastellanError, type Denial, type ErrorKind, type FieldError } from './errors.ts';
export { createExternalRuntime, type ExternalRuntime } from './external-runtime.ts';
export type { Operations, Problem } from './generated.ts';
export type { CertificateEvent, Hooks, RequestEvent, ResponseEvent, RetryEvent } from './hooks.ts';
export type { Answer, Body, Input, Item, ListId, OperationId } from './operations.ts';
export type { CallDefaults, CallOptions, ClientOptions, PemRef, RetryOptions, TokenSource } from './options.ts';
export type { ListOptions, Requester } from './requester.ts';
export type { BudgetOptions } from './retry-budget.ts';
export type { OrchestratorRuntime, RuntimeCallOptions } from './runtime.ts';
export {
  createRuntimeSelector,
  type RuntimeMode,
  type RuntimeSelector,
  type RuntimeSelectorOptions,
} from './runtime-selector.ts';
