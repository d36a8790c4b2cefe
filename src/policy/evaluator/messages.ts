/** One evaluation; `input` is JSON text. */
export interface Question {
  readonly hash: string;
  readonly entrypoint: number;
  readonly input: string;
}

/** The outcome as JSON text, or why there is none: `failed` when the policy did with this input, `unready` when it was not begun. */
export type Answer =
  | { readonly type: 'outcome'; readonly outcome: string }
  | { readonly type: 'failed' | 'unready'; readonly message: string };

/** What the pool asks of a worker. A worker has one request at a time, so none carries an id. */
export type WorkerRequest =
  | { readonly type: 'load'; readonly hash: string; readonly module: WebAssembly.Module }
  | { readonly type: 'unload'; readonly hash: string }
  | { readonly type: 'evaluate'; readonly questions: readonly Question[] };

/** What a worker says. Answers come in the order of the questions; where there are fewer, the others were not begun. */
export type WorkerReply =
  | { readonly type: 'done' }
  | { readonly type: 'failed'; readonly message: string }
  | { readonly type: 'answers'; readonly answers: readonly Answer[] };
