import type { PoolClient } from 'pg';

import type { Trx } from '../../src/storage/database.ts';
import type { Storage } from '../../src/storage/storage.ts';

/** One transaction over one workspace. */
export function inside<T>(
  storage: Storage,
  workspaceId: string,
  work: (trx: Trx, client: PoolClient) => Promise<T>,
): Promise<T> {
  return storage.transaction(async (session) => {
    const { trx, client, end } = await session.enter(workspaceId);
    try {
      return await work(trx, client);
    } finally {
      end();
    }
  });
}
