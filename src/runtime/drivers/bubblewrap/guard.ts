import { spawn } from 'node:child_process';

/**
 * Reads which process groups there are, until it reads no more because the service has gone, however; then ends those that
 * are left. All else of a chain ends with the service by itself. But bwrap inside, before it has been told who it is, waits
 * for its outer half for ever when that one has been ended, as everything is that dies with its parent.
 */
const SCRIPT = [
  'left=" "',
  'while read -r sign group; do',
  '  case "$sign" in',
  '  +) left="$left$group " ;;',
  // biome-ignore lint/suspicious/noTemplateCurlyInString: of the shell.
  '  -) left="${left%% $group *} ${left#* $group }" ;;',
  '  esac',
  'done',
  'for group in $left; do kill -9 "-$group" 2>/dev/null; done',
].join('\n');

/** One process beside the service that outlives it by a moment. */
export interface Guard {
  watch(processGroup: number): void;
  forget(processGroup: number): void;
  /** Ends it; what it watches then is ended as well. */
  close(): Promise<void>;
}

export function startGuard(sh: string): Guard {
  // In a session of its own: what is sent to the service's group must not reach it.
  const child = spawn(sh, ['-c', SCRIPT], { env: {}, cwd: '/', detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  const ended = Promise.withResolvers<void>();
  child.once('exit', () => ended.resolve());
  child.once('error', () => ended.resolve());
  // One that was ended by somebody has nobody to tell.
  child.stdin.on('error', () => undefined);
  child.unref();
  return {
    watch: (group) => void child.stdin.write(`+ ${group}\n`),
    forget: (group) => void child.stdin.write(`- ${group}\n`),
    close: async () => {
      child.ref();
      child.stdin.end();
      await ended.promise;
    },
  };
}
