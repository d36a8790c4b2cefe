import { usageError } from './errors.ts';
import type { OrchestratorRuntime } from './runtime.ts';

const MODES = ['embedded', 'external'] as const;
export type RuntimeMode = (typeof MODES)[number];

export interface RuntimeSelectorOptions {
  /** Mode by workspace. */
  readonly workspaces: Readonly<Record<string, RuntimeMode>>;
  /** For every other workspace; without it they have no runtime. */
  readonly default?: RuntimeMode;
  readonly runtimes: Readonly<Partial<Record<RuntimeMode, OrchestratorRuntime>>>;
}

export interface RuntimeSelector {
  modeOf(workspaceId: string): RuntimeMode;
  /** Throws CastellanError `usage` for a workspace without a mode: guessing would govern it somewhere else. */
  runtimeFor(workspaceId: string): OrchestratorRuntime;
}

/** Says which runtime a workspace uses. Throws for an unknown mode, and for one that is configured but not there. */
export function createRuntimeSelector(options: RuntimeSelectorOptions): RuntimeSelector {
  const modes = new Map(
    Object.entries(options.workspaces).map(([workspaceId, mode]) => [workspaceId, known(mode, options)]),
  );
  const otherwise = options.default === undefined ? undefined : known(options.default, options);
  const modeOf = (workspaceId: string): RuntimeMode => {
    const mode = modes.get(workspaceId) ?? otherwise;
    if (mode === undefined) throw usageError(`workspace ${workspaceId} has no runtime mode`);
    return mode;
  };
  return { modeOf, runtimeFor: (workspaceId) => runtimeOf(modeOf(workspaceId), options) };
}

// Configuration comes from files, where the type is only a hope.
function known(mode: unknown, options: RuntimeSelectorOptions): RuntimeMode {
  const found = MODES.find((one) => one === mode);
  if (found === undefined) throw usageError(`${String(mode)} is no runtime mode: ${MODES.join(', ')}`);
  runtimeOf(found, options);
  return found;
}

function runtimeOf(mode: RuntimeMode, { runtimes }: RuntimeSelectorOptions): OrchestratorRuntime {
  const runtime = runtimes[mode];
  if (runtime === undefined) throw usageError(`the ${mode} runtime is configured, but not given`);
  return runtime;
}
