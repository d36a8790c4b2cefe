import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { run } from './command.ts';
import { EmbeddedPostgresError } from './errors.ts';

/**
 * Marks the data directory as this process's, or throws DATA_DIR_IN_USE while another living process has it: a server found
 * there is then not an orphan. The mark of a dead process is taken over. Returns the way to give it back.
 */
export async function claimDataDir(dataDir: string): Promise<() => Promise<void>> {
  const file = join(dataDir, 'owner');
  const mine = `${process.pid} ${await startOf(process.pid)}\n`;
  const theirs = await readFile(file, 'utf8').catch(() => undefined);
  if (theirs !== undefined) {
    const pid = Number.parseInt(theirs, 10);
    if (Number.isInteger(pid) && theirs === `${pid} ${await startOf(pid)}\n`) {
      throw new EmbeddedPostgresError('DATA_DIR_IN_USE', `${dataDir} is in use by process ${pid}`);
    }
    await rm(file, { force: true });
  }
  try {
    await writeFile(file, mine, { flag: 'wx', mode: 0o600 });
  } catch (cause) {
    throw new EmbeddedPostgresError('DATA_DIR_IN_USE', `${dataDir} has just been taken by another process`, cause);
  }
  return () => rm(file, { force: true });
}

/** When a process began, in whatever the system counts: a pid alone may be another process by now. '' when it is gone. */
async function startOf(pid: number): Promise<string> {
  if (process.platform !== 'linux')
    return (await run('ps', ['-o', 'lstart=', '-p', String(pid)]).catch(() => '')).trim();
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // Field 22, counted behind the command name, which may itself hold spaces and brackets (proc_pid_stat(5)).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  // A dead process that nobody has reaped yet still has its entry.
  return fields[0] === 'Z' ? '' : (fields[19] ?? '');
}
