import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import t, { type Test } from 'tap';

import { nameServers } from '../../src/egress/rules.ts';

const [A, AAAA] = [1, 28];

/** A name server with these records; of every other name it says that there is none. */
async function nameServer(t: Test, records: Readonly<Record<string, readonly [type: number, data: Buffer][]>>) {
  const asked: string[] = [];
  const socket = createSocket('udp4');
  socket.on('message', (query, from) => {
    const end = query.indexOf(0, 12);
    const labels: string[] = [];
    for (let at = 12; at < end; at += 1 + (query[at] ?? 0))
      labels.push(query.toString('latin1', at + 1, at + 1 + (query[at] ?? 0)));
    const name = labels.join('.');
    asked.push(name);
    const type = query.readUInt16BE(end + 1);
    const answers = (records[name] ?? []).filter(([kind]) => kind === type);
    const header = Buffer.alloc(12);
    query.copy(header, 0, 0, 2);
    header.writeUInt16BE(name in records ? 0x8180 : 0x8183, 2);
    header.writeUInt16BE(1, 4);
    header.writeUInt16BE(answers.length, 6);
    const resources = answers.map(([kind, data]) =>
      Buffer.concat([Buffer.of(0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 0, 0, data.length), data]),
    );
    socket.send(Buffer.concat([header, query.subarray(12, end + 5), ...resources]), from.port, from.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  t.teardown(() => socket.close());
  return { resolve: nameServers([`127.0.0.1:${socket.address().port}`]), asked };
}

t.test('every address of a name, of both families', async (t) => {
  const v6 = Buffer.from('26064700470000000000000000001111', 'hex');
  const { resolve, asked } = await nameServer(t, {
    'both.example': [
      [A, Buffer.of(1, 1, 1, 1)],
      [A, Buffer.of(10, 0, 0, 1)],
      [AAAA, v6],
    ],
    'four.example': [[A, Buffer.of(1, 1, 1, 1)]],
    'six.example': [[AAAA, v6]],
    'empty.example': [],
  });
  t.same(await resolve('both.example'), ['1.1.1.1', '10.0.0.1', '2606:4700:4700::1111']);
  t.same(await resolve('four.example'), ['1.1.1.1']);
  t.same(await resolve('six.example'), ['2606:4700:4700::1111']);
  t.same(await resolve('empty.example'), []);
  t.same(await resolve('nobody.example'), []);
  t.ok(
    asked.every((name) => /^[a-z]+\.example$/.test(name)),
    'no search domain is put behind a name',
  );
});
