/** What the pool asks of a worker. A worker has one request at a time, so none carries an id. */
export type WorkerRequest =
  | { type: 'load'; hash: string; module: WebAssembly.Module }
  | { type: 'evaluate'; hash: string; entrypoint: number; input: string }
  | { type: 'unload'; hash: string };

/**
 * What a worker says. An evaluation says `started` before its reply, which is the outcome as JSON text, or why there is
 * none: `failed` when the policy did with this input, `unready` when it was not begun.
 */
export type WorkerReply =
  | { type: 'done'; outcome?: string }
  | { type: 'failed'; message: string }
  | { type: 'unready'; message: string };
/** `cpu`: microseconds of CPU the thread had used when the evaluation began. */
export type WorkerMessage = WorkerReply | { type: 'started'; cpu: number };
