import pg from 'pg';
import t from 'tap';

import { createVerifyChain } from '../../src/audit/verify-chain.ts';
import { testDatabase } from '../support/database.ts';
import { history, insertChain, insertSigner } from './support/history.ts';
import { testSigner } from './support/keys.ts';

const database = await testDatabase(t);
const client = new pg.Client({ connectionString: database.superuserUrl });
await client.connect();
t.teardown(() => client.end());

t.before(async () => {
  const ed = testSigner('ed');
  await insertSigner(client, ed);
  for (const chain of ['one', 'two', 'three']) {
    await insertChain(client, history(chain, [{ signer: ed }, { signer: ed }]));
  }
});

t.test('one verification of each chain and two in all; a request that is gone takes its thread with it', async (t) => {
  const verify = createVerifyChain(database.superuserUrl);
  await locked(async () => {
    const leave = new AbortController();
    const one = verify('one', leave.signal);
    const two = verify('two');
    await t.rejects(verify('one'), { code: 'OVERLOADED' });
    await t.rejects(verify('three'), { code: 'OVERLOADED' });
    leave.abort();
    await t.rejects(one, { code: 'AUDIT_UNAVAILABLE' });
    const three = verify('three');
    await client.query('ROLLBACK');
    t.match(await Promise.all([two, three]), [
      { ok: true, events: 2 },
      { ok: true, events: 2 },
    ]);
  });
  await t.rejects(verify('one', AbortSignal.abort()), { code: 'AUDIT_UNAVAILABLE' });
  t.match(await verify('one'), { ok: true, events: 2, signatures: 2 });
});

t.test('at the deadline the thread ends and the place is free', async (t) => {
  const verify = createVerifyChain(database.superuserUrl, 200);
  await locked(() => t.rejects(verify('one'), { code: 'AUDIT_UNAVAILABLE' }));
  await t.rejects(verify('one', AbortSignal.abort()), { code: 'AUDIT_UNAVAILABLE' }, 'not OVERLOADED');
});

/** While `work` runs no one can read the log: a verification lasts as long as it is let. */
async function locked(work: () => Promise<unknown>): Promise<void> {
  await client.query('BEGIN; LOCK TABLE audit_events IN ACCESS EXCLUSIVE MODE');
  try {
    await work();
  } finally {
    await client.query('ROLLBACK');
  }
}
