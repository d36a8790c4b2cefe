/** What the pool asks of a worker. A worker has one request at a time, so none carries an id. */
export type WorkerRequest =
  | { type: 'load'; hash: string; module: WebAssembly.Module }
  | { type: 'evaluate'; hash: string; entrypoint: number; input: string }
  | { type: 'unload'; hash: string };

/** The answer: the outcome as JSON text, or why there is none. */
export type WorkerReply = { type: 'done'; outcome?: string } | { type: 'failed'; message: string };
