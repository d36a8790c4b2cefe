import type { CommandResult, Isolation, Sandbox, SandboxRequest } from '../runtime/isolation.ts';
import type { RunOutput } from './output.ts';
import type { RunPlan } from './plan.ts';
import { connectionView, type KeptResults, notRun, OutputBudget } from './results.ts';
import type { CommandView } from './schema.ts';

/** Ms that a sandbox may live beyond the time of its run, should nobody end it. */
const SPARE_MS = 10_000;

/** What came of the commands; `cause`: why there was nothing to run them in. */
export interface Executed extends KeptResults {
  readonly cause?: string;
}

/** Runs the commands of a plan one after another until its time is over or the signal fires. Never rejects. */
export type Execute = (
  run: Pick<SandboxRequest, 'runId' | 'workspaceId' | 'agentId'>,
  plan: RunPlan,
  signal: AbortSignal,
  output: RunOutput,
) => Promise<Executed>;

export function createExecute(parts: {
  readonly isolation: Isolation;
  /** Monotonic ms. */
  readonly now: () => number;
  readonly failed: (error: unknown, runId: string) => void;
}): Execute {
  const { isolation, now, failed } = parts;
  return async (run, plan, signal, output) => {
    const { commands, env, limits, allowDomains } = plan;
    const until = now() + plan.timeoutSeconds * 1000;
    let sandbox: Sandbox;
    try {
      const lifetimeMs = plan.timeoutSeconds * 1000 + SPARE_MS;
      sandbox = await isolation.openSandbox({ ...run, limits, env, allowDomains, lifetimeMs });
    } catch (error) {
      failed(error, run.runId);
      const views = commands.map((command) => notRun(command, 'setup_failed'));
      return { commands: views, connections: [], cause: 'isolation' };
    }
    try {
      const views = await runAll(sandbox, plan, { until, signal, output, runId: run.runId });
      return { commands: views, connections: sandbox.egress.map(connectionView) };
    } finally {
      await sandbox.close().catch((error: unknown) => failed(error, run.runId));
    }
  };

  async function runAll(
    sandbox: Sandbox,
    { commands }: RunPlan,
    { until, signal, output, runId }: { until: number; signal: AbortSignal; output: RunOutput; runId: string },
  ): Promise<CommandView[]> {
    const budget = new OutputBudget();
    const views: CommandView[] = [];
    for (const [index, command] of commands.entries()) {
      const timeoutMs = Math.ceil(until - now());
      output.begin(index, command);
      let view: CommandView;
      if (signal.aborted) view = notRun(command, 'cancelled');
      else if (timeoutMs <= 0) view = notRun(command, 'timeout');
      else view = await runOne(command, timeoutMs);
      views.push(view);
      output.result(index, view);
    }
    return views;

    async function runOne(command: string, timeoutMs: number): Promise<CommandView> {
      try {
        const result: CommandResult = await sandbox.run(command, {
          timeoutMs,
          signal,
          onOutput: (stream, chunk) => output.write(stream, chunk),
        });
        return budget.view(command, result);
      } catch (error) {
        failed(error, runId);
        return notRun(command, signal.aborted ? 'cancelled' : 'setup_failed');
      }
    }
  }
}
