import t from 'tap';

import { createKeyedRead, type KeyedRow } from '../../src/storage/keyed-read.ts';
import type { Storage } from '../../src/storage/storage.ts';

t.test('a statement that hangs does not hold up those who come after it', async (t) => {
  const { promise: never, resolve: release } = Promise.withResolvers<void>();
  const calls: unknown[] = [];
  const call = async (_routine: unknown, [workspaces, , ids]: readonly unknown[]) => {
    calls.push(ids);
    if (calls.length === 1) await never;
    return [{ workspace: (workspaces as string[])[0], id: (ids as string[])[0] }];
  };
  // One call is all that is asked of a storage here.
  const read = createKeyedRead<KeyedRow>({ call } as Pick<Storage, 'call'>, 'f');
  const hanging = read('a', '1');
  await new Promise((resolve) => setImmediate(resolve));
  t.strictSame(await read('b', '2'), { workspace: 'b', id: '2' });
  t.strictSame(calls, [['1'], ['2']]);
  release();
  t.strictSame(await hanging, { workspace: 'a', id: '1' });
});
