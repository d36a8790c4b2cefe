import { type CastellanClient, createClient } from './client.ts';
import type { ClientOptions } from './options.ts';
import { createRuntime, type OrchestratorRuntime } from './runtime.ts';

/** The service elsewhere, over mutual TLS. */
export interface ExternalRuntime extends OrchestratorRuntime, AsyncDisposable {
  /** Every other operation. */
  readonly client: CastellanClient;
  close(): Promise<void>;
}

export async function createExternalRuntime(options: ClientOptions): Promise<ExternalRuntime> {
  const client = await createClient(options);
  return { ...createRuntime(client), client, close: client.close, [Symbol.asyncDispose]: client.close };
}
