import { once } from 'node:events';
import { createServer, request, type ServerResponse } from 'node:http';
import t from 'tap';

import { readerGone } from '../../src/http/reader-gone.ts';

/** What was told of a reader who goes away before, or after, anybody listens for that. */
async function told(when: 'before' | 'after') {
  const { promise, resolve } = Promise.withResolvers<ServerResponse>();
  const server = createServer((_request, response) => resolve(response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const client = request({ port: address.port, host: '127.0.0.1', agent: false }).on('error', () => undefined);
  client.end();
  const raw = await promise;
  const closed = once(raw, 'close');
  let calls = 0;
  const listen = () => readerGone({ raw }, () => (calls += 1));
  if (when === 'before') {
    client.destroy();
    await closed;
    return { signal: listen(), calls: () => calls };
  }
  const signal = listen();
  t.equal(signal.aborted, false);
  client.destroy();
  await closed;
  return { signal, calls: () => calls };
}

for (const when of ['before', 'after'] as const) {
  t.test(`a reader who goes away ${when} anybody listens`, async (t) => {
    const { signal, calls } = await told(when);
    t.equal(signal.aborted, true);
    t.equal(calls(), 1);
  });
}
