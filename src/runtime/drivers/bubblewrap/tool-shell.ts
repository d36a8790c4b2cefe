import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';

import type { RunTool } from './commands.ts';

type Shell = ChildProcessByStdio<Writable, Readable, null>;

interface Call {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** Runs tools from one shell that stays: to start each from here costs a copy of this process's page tables. */
export interface ToolShell {
  /** One after the other. Rejects with what the tool says. */
  readonly run: RunTool;
  /** Has a process of its own write a file that is there. Nobody waits for it, and nobody hears when it is refused. */
  write(path: string, text: string): void;
  close(): Promise<void>;
}

/** Starts nothing before it is used. The shell ends with its input, also when this process is killed. */
export function createToolShell(sh: string): ToolShell {
  let shell: Shell | undefined;
  let calls: Call[] = [];
  let rest = '';

  function start(): Shell {
    // Of a session of its own: what a terminal sends to this process is not for it, which has to clear up yet.
    const child = spawn(sh, ['-s'], {
      env: { LC_ALL: 'C' },
      cwd: '/',
      detached: true,
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    rest = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      const lines = `${rest}${text}`.split('\n');
      rest = lines.pop() ?? '';
      lines.forEach(answer);
    });
    child.stdin.on('error', () => undefined);
    child.once('error', () => gone(child));
    child.once('close', () => gone(child));
    // What a tool says is split into words, and nothing else is done to it.
    child.stdin.write('set -f\n');
    return child;
  }

  function answer(line: string): void {
    const call = calls.shift();
    if (calls.length === 0 && shell !== undefined) hold(shell, false);
    if (line === 'ok') call?.resolve();
    else call?.reject(new Error(line));
  }

  function gone(child: Shell): void {
    if (shell !== child) return;
    shell = undefined;
    const unanswered = calls;
    calls = [];
    for (const { reject } of unanswered) reject(new Error('the shell of the tools has ended'));
  }

  return {
    run: async (tool, args) => {
      const command = [tool, ...args].map(quoted).join(' ');
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      shell ??= start();
      hold(shell, true);
      calls.push({ resolve, reject });
      shell.stdin.write(
        `said=$(${command} 2>&1 </dev/null) && echo ok || { printf failed:; printf ' %s' $said; echo; }\n`,
      );
      return promise;
    },
    write: (path, text) => {
      const line = `(printf %s ${quoted(text)} >${quoted(path)}) 2>/dev/null &\n`;
      shell ??= start();
      if (calls.length === 0) hold(shell, false);
      shell.stdin.write(line);
    },
    close: async () => {
      const child = shell;
      if (child === undefined) return;
      hold(child, true);
      const { promise: closed, resolve } = Promise.withResolvers<void>();
      child.once('close', () => resolve());
      child.stdin.end();
      await closed;
    },
  };
}

/** While nothing is waited for, the shell keeps nobody from ending. */
function hold(child: Shell, isAwaited: boolean): void {
  for (const stream of [child.stdin, child.stdout]) {
    if (!('ref' in stream) || !('unref' in stream)) continue;
    const change = isAwaited ? stream.ref : stream.unref;
    if (typeof change === 'function') change.call(stream);
  }
  if (isAwaited) child.ref();
  else child.unref();
}

/** One word of sh, whatever is in it. Throws for what would end the line. */
function quoted(word: string): string {
  if (/[\n\0]/.test(word)) throw new TypeError('a tool has an argument of more than one line');
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
