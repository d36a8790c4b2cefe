import t from 'tap';

import { createJoinLock } from '../../../src/runtime/drivers/bubblewrap/cgroups/join-lock.ts';

t.test('the lock is opened for those that follow each other closely once', async (t) => {
  let now = 0;
  let writes = 0;
  const lock = createJoinLock(
    () => {
      writes += 1;
    },
    () => now,
  );
  lock.open();
  lock.open();
  t.equal(writes, 1);
  now = 7.9;
  lock.open();
  t.equal(writes, 1);
  now = 8;
  lock.open();
  t.equal(writes, 2);
});
