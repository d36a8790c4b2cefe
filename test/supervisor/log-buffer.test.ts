import t from 'tap';

import { createAgentBuffer } from '../../src/supervisor/logs/buffer.ts';
import type { LogBatch } from '../../src/supervisor/logs/store.ts';
import { createLogWriter } from '../../src/supervisor/logs/writer.ts';

const AGENT = { workspaceId: 'demo', agentId: 'a' };

function buffer() {
  const time = { now: 0 };
  return { time, ...{ buffer: createAgentBuffer({ now: () => time.now, clock: () => time.now }) } };
}

t.test('output is kept in the order it came in, by stream, and whole characters', async (t) => {
  const { buffer: one } = buffer();
  const text = Buffer.from('Grüße\n');
  one.take('l', '0', 'stdout', text.subarray(0, 3));
  one.take('l', '0', 'stdout', text.subarray(3));
  one.take('l', '0', 'stderr', Buffer.from('oh\0no\n'));
  one.take('l', '0', 'stdout', Buffer.from('again\n'));
  t.match(one.drain(), {
    dropped: 0,
    pieces: [
      { stream: 'stdout', text: 'Grüße\n' },
      { stream: 'stderr', text: 'oh\uFFFDno\n' },
      { stream: 'stdout', text: 'again\n' },
    ],
  });
  t.ok(one.isEmpty);
});

t.test('what comes too fast is counted and left out', async (t) => {
  const { buffer: one, time } = buffer();
  one.take('l', '0', 'stdout', Buffer.alloc(1_000_000, 'a'));
  const first = one.drain();
  const kept = first.pieces.reduce((sum, { text }) => sum + text.length, 0);
  t.equal(kept, 262_144);
  t.equal(first.dropped, 1_000_000 - 262_144);
  time.now = 1000;
  one.take('l', '0', 'stdout', Buffer.alloc(1_000_000, 'a'));
  t.equal(one.drain().dropped, 1_000_000 - 65_536, 'a second later there is room for a second');
});

t.test('streams that take turns make no more pieces than are written at once', async (t) => {
  const { buffer: one } = buffer();
  for (let turn = 0; turn < 1000; turn += 1) one.take('l', '0', turn % 2 === 0 ? 'stdout' : 'stderr', Buffer.from('x'));
  const { pieces, dropped } = one.drain();
  t.ok(pieces.length <= 64);
  t.equal(pieces.reduce((sum, { text }) => sum + text.length, 0) + dropped, 1000);
});

t.test('a write is bounded, and what could not be written is written by the next', async (t) => {
  const written: LogBatch[] = [];
  let isAway = true;
  const store = {
    append: async (batch: LogBatch) => {
      if (isAway) throw new Error('away');
      written.push(batch);
    },
  };
  const writer = createLogWriter({ store, now: () => 0, clock: () => 0 });
  const say = (agentId: string) => writer.sink({ ...AGENT, agentId }, 'l', '0')('stdout', Buffer.alloc(200_000, 'a'));
  for (let agent = 0; agent < 12; agent += 1) say(`agent-${agent}`);
  await t.rejects(writer.flush(), { message: 'away' });
  isAway = false;
  for (let write = 0; write < 4; write += 1) await writer.flush();
  const sizes = written.map(({ pieces }) => pieces.reduce((sum, { piece }) => sum + piece.text.length, 0));
  t.equal(
    sizes.reduce((sum, size) => sum + size, 0),
    12 * 200_000,
  );
  t.ok(Math.max(...sizes) < 1_048_576 + 262_144, String(sizes));
});
