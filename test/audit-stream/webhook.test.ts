import { createHmac, randomBytes } from 'node:crypto';
import t, { type Test } from 'tap';

import { Batch } from '../../src/audit/stream/batch.ts';
import type { Item } from '../../src/audit/stream/destination.ts';
import { type WebhookOptions, webhookDestination } from '../../src/audit/stream/webhook.ts';
import { type Answered, type Received, receiver } from '../support/receiver.ts';
import { sample } from './support/samples.ts';

const NOW = Date.parse('2026-03-04T05:06:07.000Z');
const SECRET = randomBytes(32).toString('base64');
const items: Item[] = [1, 2, 3].map((n) => ({ id: `id-${n}`, text: JSON.stringify({ n }) }));

/** A destination whose receiver gives these answers one after the other, then 204; its waits are only noted. */
async function destination(t: Test, answers: readonly Answered[], change: Partial<WebhookOptions> = {}) {
  const received: Received[] = [];
  const waits: number[] = [];
  const said: string[] = [];
  const url = await receiver(t, (request) => {
    received.push(request);
    return answers[received.length - 1] ?? { status: 204 };
  });
  const there = webhookDestination({
    url: `${url}/in`,
    secret: SECRET,
    authorization: undefined,
    contentType: 'application/json',
    form: 'array',
    attempts: Number.POSITIVE_INFINITY,
    clock: () => NOW,
    random: () => 0,
    wait: async (ms) => {
      waits.push(ms);
    },
    failed: (why) => said.push(why),
    ...change,
  });
  return { deliver: (list = items) => there.deliver(list), received, waits, said };
}

t.test('a batch, signed, with the same id when it comes again', async (t) => {
  const { deliver, received } = await destination(t, []);
  await deliver();
  await deliver();
  await deliver(items.slice(1));
  const [first, again, other] = received;
  if (first === undefined || again === undefined || other === undefined) throw new Error('too few');
  t.match([first.method, first.path], ['POST', '/in']);
  t.same(JSON.parse(first.body.toString()), [{ n: 1 }, { n: 2 }, { n: 3 }]);
  const { 'webhook-id': id, 'webhook-timestamp': time, 'webhook-signature': signature } = first.headers;
  t.equal(time, `${NOW / 1000}`);
  const mac = createHmac('sha256', Buffer.from(SECRET, 'base64'))
    .update(`${id}.${time}.${first.body}`)
    .digest('base64');
  t.equal(signature, `v1,${mac}`);
  t.equal(again.headers['webhook-id'], id);
  t.not(other.headers['webhook-id'], id);
  t.notOk('authorization' in first.headers);
});

t.test('lines, a content type and a token', async (t) => {
  const change = { form: 'lines', contentType: 'application/x-ndjson', authorization: 'Splunk abc' } as const;
  const { deliver, received } = await destination(t, [], change);
  await deliver();
  t.equal(received[0]?.body.toString(), '{"n":1}\n{"n":2}\n{"n":3}\n');
  t.match(received[0]?.headers, { 'content-type': 'application/x-ndjson', authorization: 'Splunk abc' });
});

t.test('what may pass is tried again, with growing waits and not before Retry-After', async (t) => {
  const later = (seconds: string) => ({ status: 503, headers: { 'retry-after': seconds } });
  const { deliver, received, waits, said } = await destination(t, [
    { status: 500 },
    { status: 502 },
    { status: 408 },
    { status: 425 },
    { status: 429, headers: { 'retry-after': '7' } },
    later(new Date(NOW + 20_000).toUTCString()),
    later('0'),
    later('rubbish'),
    later('999999'),
    { status: 500 },
  ]);
  await deliver();
  t.equal(received.length, 11);
  t.same(waits, [250, 500, 1000, 2000, 7000, 20_000, 16_000, 30_000, 3_600_000, 30_000]);
  t.match(said[4], 'answered 429');
  t.equal(new Set(received.map(({ headers }) => headers['webhook-id'])).size, 1);
});

t.test('what would be refused again ends the stream', async (t) => {
  for (const status of [400, 401, 403, 404, 409, 410, 413, 415, 422, 301, 302, 307]) {
    const { deliver, received, waits } = await destination(t, [{ status, headers: { location: '/elsewhere' } }]);
    await t.rejects(deliver(), { code: 'UNDELIVERED', message: `answered ${status}` });
    t.same([received.length, waits.length], [1, 0], `${status}`);
  }
});

t.test('a receiver that is away, or answers without end', async (t) => {
  const away = await destination(t, [], { url: 'http://127.0.0.1:1/', attempts: 3 });
  await t.rejects(away.deliver(), { code: 'UNDELIVERED', message: /given up after 3 attempts/ });
  t.match(away.said, [/127\.0\.0\.1:1: no answer/, /no answer/]);
  const endless = await destination(t, [{ status: 200, body: Buffer.alloc(200_000) }]);
  await endless.deliver();
  t.equal(endless.received.length, 2, 'not taken for a delivery');
});

t.test('a stream that ends does not wait', async (t) => {
  const gone = new Error('stopped');
  const { deliver } = await destination(t, [{ status: 500 }], { wait: () => Promise.reject(gone) });
  await t.rejects(deliver(), gone);
});

t.test('a batch has bounds, and one event always fits', async (t) => {
  const event = sample('agent.stopped');
  const filled = (text: string) => {
    const batch = new Batch();
    for (; batch.fits({ id: 'i', text }); ) batch.add(event, { id: 'i', text });
    return batch.items.length;
  };
  t.equal(filled('x'), 500);
  t.equal(filled('x'.repeat(300_000)), 3);
  t.equal(filled('x'.repeat(2_000_000)), 1);
});
