import dns from 'node:dns';
import { once } from 'node:events';
import { connect } from 'node:net';
import t from 'tap';

import { testService } from '../support/service.ts';

type Done = (error: null, found: dns.LookupAddress[]) => void;

// On most machines `localhost` is 127.0.0.1 and ::1; here are two addresses that every machine has.
const ADDRESSES = ['127.0.0.1', '127.0.0.2'];

t.test('a name of two addresses is one listener, with its limits and reloads', async (t) => {
  const original = dns.lookup;
  t.teardown(() => {
    dns.lookup = original;
  });
  const lookup = (host: string, _options: dns.LookupAllOptions, done: Done) => {
    const addresses = host === 'localhost' ? ADDRESSES : [host];
    const found = addresses.map((address) => ({ address, family: 4 }));
    setImmediate(() => done(null, found));
  };
  Object.assign(dns, { lookup });
  const { service } = await testService(t, { api: { host: 'localhost' } });
  dns.lookup = original;
  const { port } = new URL(service.apiUrl);
  const listening = await Promise.all(
    ADDRESSES.map(async (host) => {
      const socket = connect({ host, port: Number(port) });
      const reached = await once(socket, 'connect').then(
        () => true,
        () => false,
      );
      socket.destroy();
      return reached;
    }),
  );
  t.same(listening, [true, false]);
});
