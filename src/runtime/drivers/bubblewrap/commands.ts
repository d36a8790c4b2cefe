import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);
/** Long: a tree that somebody hostile has built may be large. */
const LIMIT_MS = 300_000;

export type RunTool = (tool: string, args: readonly string[]) => Promise<void>;

/** Runs one of the tools with nothing of the service's environment. Rejects with what it says. */
export async function runTool(tool: string, args: readonly string[]): Promise<void> {
  await run(tool, [...args], { env: { LC_ALL: 'C' }, cwd: '/', timeout: LIMIT_MS, killSignal: 'SIGKILL' });
}
