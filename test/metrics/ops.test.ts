import t from 'tap';
import { CodedError } from '../../src/errors.ts';
import { createOpsServer, type OpsOptions } from '../../src/ops.ts';

class Away extends CodedError {
  readonly code = 'DATABASE_UNAVAILABLE';
}

async function serve(change: Partial<OpsOptions>) {
  const ops = createOpsServer({
    checks: {},
    readMetrics: async () => ({ contentType: 'text/plain; version=0.0.4', text: 'castellan_x 1\n' }),
    isDraining: () => false,
    clock: Date.now,
    ...change,
  });
  t.teardown(() => ops.close());
  const url = await ops.listen({ host: '127.0.0.1', port: 0 });
  return async (path: string, method = 'GET') => {
    const answer = await fetch(url + path, { method });
    return { status: answer.status, type: answer.headers.get('content-type'), text: await answer.text() };
  };
}

t.test('three paths and nothing else', async (t) => {
  const get = await serve({});
  t.equal((await get('/livez')).status, 200);
  t.same(await get('/metrics'), { status: 200, type: 'text/plain; version=0.0.4', text: 'castellan_x 1\n' });
  t.same(JSON.parse((await get('/readyz?verbose')).text), { status: 'ready', checks: {} });
  for (const path of ['/', '/livez/', '/v1/workspaces', '/metrics/../livez2'])
    t.equal((await get(path)).status, 404, path);
  t.equal((await get('/livez', 'POST')).status, 404);
  t.equal((await get('/livez', 'HEAD')).text, '');
});

t.test('readiness names what is away, and no more', async (t) => {
  const get = await serve({
    checks: {
      database: async () => {
        throw new Away('password=hunter2');
      },
      policy: async () => {
        throw new Error('hunter2');
      },
      signer: async () => undefined,
      slow: () => new Promise(() => undefined),
    },
  });
  const began = performance.now();
  const answer = await get('/readyz');
  t.equal(answer.status, 503);
  t.same(JSON.parse(answer.text), {
    status: 'unavailable',
    checks: {
      database: { ok: false, detail: 'DATABASE_UNAVAILABLE' },
      policy: { ok: false, detail: 'FAILED' },
      signer: { ok: true },
      slow: { ok: false, detail: 'TIMEOUT' },
    },
  });
  t.ok(performance.now() - began < 2_500);
  t.equal((await get('/livez')).status, 200, 'alive all the same');
});

t.test('many probes cost one round, and a second later another', async (t) => {
  let now = 0;
  let rounds = 0;
  const get = await serve({
    clock: () => now,
    checks: {
      counted: async () => {
        rounds += 1;
      },
    },
  });
  await Promise.all(Array.from({ length: 10 }, () => get('/readyz')));
  t.equal(rounds, 1);
  now = 999;
  await get('/readyz');
  t.equal(rounds, 1);
  now = 1_000;
  await get('/readyz');
  t.equal(rounds, 2);
});

t.test('draining shows at once', async (t) => {
  let draining = false;
  const get = await serve({ isDraining: () => draining });
  t.equal((await get('/readyz')).status, 200);
  draining = true;
  t.equal((await get('/readyz')).status, 503);
  t.equal((await get('/livez')).status, 200);
});

t.test('metrics that cannot be read are an error without words', async (t) => {
  const get = await serve({
    readMetrics: async () => {
      throw new Error('hunter2');
    },
  });
  t.same(await get('/metrics'), { status: 500, type: 'text/plain', text: 'error\n' });
});

t.test('a port that is taken is an error', async (t) => {
  const one = createOpsServer({
    checks: {},
    readMetrics: async () => ({ contentType: '', text: '' }),
    isDraining: () => false,
    clock: Date.now,
  });
  const url = await one.listen({ host: '127.0.0.1', port: 0 });
  const two = createOpsServer({
    checks: {},
    readMetrics: async () => ({ contentType: '', text: '' }),
    isDraining: () => false,
    clock: Date.now,
  });
  await t.rejects(two.listen({ host: '127.0.0.1', port: Number(new URL(url).port) }), { code: 'EADDRINUSE' });
  await one.close();
});
