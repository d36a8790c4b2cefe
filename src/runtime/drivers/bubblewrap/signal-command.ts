import { readFile } from 'node:fs/promises';

/**
 * Signals the command's own process: the first process of a namespace gets no signal that it does not handle. That process
 * forks for the relay, when there is one, and then for the command, so the command's number inside is known; ours of it is
 * that of the child which has this number. False when it is gone.
 */
export async function signalCommand(
  firstProcess: number | undefined,
  hasRelay: boolean,
  signal: NodeJS.Signals,
): Promise<boolean> {
  if (firstProcess === undefined) return false;
  const insidePid = hasRelay ? '3' : '2';
  for (const pid of await childrenOf(firstProcess)) {
    if ((await numberInside(pid)) === insidePid) return send(pid, signal);
  }
  return false;
}

/** Ends what has this id; false when nothing has. */
export function send(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    if (codeOf(error) === 'ESRCH') return false;
    throw error;
  }
}

async function childrenOf(pid: number): Promise<number[]> {
  const children = await readProc(`/proc/${pid}/task/${pid}/children`);
  return children.split(' ').filter(Boolean).map(Number);
}

async function numberInside(pid: number): Promise<string | undefined> {
  return /^NSpid:.*\t(\d+)$/m.exec(await readProc(`/proc/${pid}/status`))?.[1];
}

/** Empty for a process that has ended. */
async function readProc(path: string): Promise<string> {
  return readFile(path, 'utf8').catch((error: unknown) => {
    if (['ENOENT', 'ESRCH'].includes(codeOf(error))) return '';
    throw error;
  });
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}
