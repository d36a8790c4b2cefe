/** What a start or stop asks of a runtime. */
export interface RunRequest {
  readonly workspaceId: string;
  readonly agentId: string;
  readonly replicas: number;
}

/** The state to store with the decision; a managed driver's supervisor moves it on from there. */
export interface RunState {
  readonly status: 'starting' | 'running' | 'stopping' | 'stopped';
  readonly readyReplicas: number;
}

/** Where agents run. The calls are pure: they say which state to store, in the transaction of the decision. */
export interface RuntimeDriver {
  readonly name: string;
  /** False: the agent runs elsewhere and Castellan decides whether it may. */
  readonly managed: boolean;
  onStart(request: RunRequest): RunState;
  onStop(request: RunRequest): RunState;
}
