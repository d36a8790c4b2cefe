import { runCli } from '../../src/cli.ts';
import { type Env, sink } from '../audit-verify/support/run.ts';

/** One subcommand in this process, with streams that keep what it says. */
export async function cli(argv: readonly string[], env: Env = {}): Promise<{ code: number; out: string; err: string }> {
  const [out, err] = [sink(), sink()];
  const code = await runCli(argv, { env, stdout: out.stream, stderr: err.stream });
  return { code, out: out.text(), err: err.text() };
}
