import Fastify from 'fastify';
import t from 'tap';

import { handlerLimitPlugin } from '../../src/http/handler-limit.ts';

t.test('a handler that hangs is ended, also when the request had a body', async (t) => {
  const app = Fastify({ handlerTimeout: 100 });
  await app.register(handlerLimitPlugin);
  const { promise: never, resolve } = Promise.withResolvers<void>();
  app.post('/hangs', () => never);
  app.post('/answers', async () => ({ ok: true }));
  t.teardown(async () => {
    resolve();
    await app.close();
  });
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  const post = (path: string, body?: string) =>
    fetch(`${url}${path}`, {
      method: 'POST',
      ...(body === undefined ? {} : { body, headers: { 'content-type': 'application/json' } }),
      signal: AbortSignal.timeout(5000),
    });
  for (const body of [undefined, '{"a":1}']) {
    const late = await post('/hangs', body);
    t.equal(late.status, 503);
    t.match(await late.json(), { code: 'FST_ERR_HANDLER_TIMEOUT' });
    t.equal((await post('/answers', body)).status, 200);
  }
});
