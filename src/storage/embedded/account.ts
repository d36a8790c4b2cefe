import { readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/** The operating system account that runs the server. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** `nobody` on most systems; any account without power will do. */
const NOBODY: Account = { uid: 65_534, gid: 65_534 };

/** Undefined: this process's own account. PostgreSQL refuses root, so root hands over to `postgres` or `nobody`. */
export async function serverAccount(): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const entry = (await readFile('/etc/passwd', 'utf8'))
    .split('\n')
    .map((line) => line.split(':'))
    .find(([name]) => name === 'postgres');
  const [uid, gid] = [Number(entry?.[2]), Number(entry?.[3])];
  return entry !== undefined && Number.isInteger(uid) && Number.isInteger(gid) && uid > 0 ? { uid, gid } : NOBODY;
}

/** True when that account may enter the directory and every one above it. */
export async function canEnter(directory: string, account: Account | undefined): Promise<boolean> {
  if (account === undefined) return true;
  for (let path = directory; ; path = dirname(path)) {
    const { uid, gid, mode } = await stat(path);
    const bit = uid === account.uid ? 0o100 : gid === account.gid ? 0o010 : 0o001;
    if ((mode & bit) === 0) return false;
    if (path === dirname(path)) return true;
  }
}
