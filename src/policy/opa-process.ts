import { spawn } from 'node:child_process';

/** Bytes of stdout and stderr together; a policy of 4 MiB has a syntax tree of several times that. */
const MAX_OUTPUT_BYTES = 64 * 1_048_576;
/** Address space of the child in KiB: Go reserves far more than it uses. */
const MAX_ADDRESS_KIB = 4 * 1_048_576;
const ENVIRONMENT = { GOMEMLIMIT: '768MiB', GOMAXPROCS: '1' };
// The shell sets the limit and becomes OPA; nothing of the arguments is parsed by it.
const LIMITED = `ulimit -v ${MAX_ADDRESS_KIB} && exec "$0" "$@"`;

export interface OpaResult {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Why OPA gave no result of its own. */
export class OpaStopped extends Error {
  readonly why: 'time' | 'output';

  constructor(why: 'time' | 'output') {
    super(why === 'time' ? 'OPA took too long' : 'OPA wrote too much');
    this.why = why;
  }
}

/** Runs OPA in `cwd` without the environment of this process, bounded in time, memory and output. */
export function runOpa(
  opa: string,
  args: readonly string[],
  { cwd, signal }: { cwd: string; signal: AbortSignal },
): Promise<OpaResult> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(new OpaStopped('time'));
      return;
    }
    const child = spawn('/bin/sh', ['-c', LIMITED, opa, ...args], {
      cwd,
      env: ENVIRONMENT,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stopped: OpaStopped | undefined;
    let size = 0;
    const stop = (why: OpaStopped['why']) => {
      stopped ??= new OpaStopped(why);
      child.kill('SIGKILL');
    };
    const onAbort = () => stop('time');
    signal.addEventListener('abort', onAbort, { once: true });
    const read = (stream: NodeJS.ReadableStream, chunks: Buffer[]) =>
      stream.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > MAX_OUTPUT_BYTES) stop('output');
        else chunks.push(chunk);
      });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    read(child.stdout, stdout);
    read(child.stderr, stderr);
    const finish = (act: () => void) => {
      signal.removeEventListener('abort', onAbort);
      act();
    };
    child.once('error', (error) => finish(() => reject(error)));
    child.once('close', (exitCode) =>
      finish(() => {
        if (stopped !== undefined) reject(stopped);
        else resolve({ exitCode, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() });
      }),
    );
  });
}
