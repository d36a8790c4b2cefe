import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t from 'tap';

import { readTail } from '../../src/audit/verify/last-event.ts';
import { type AuditRow, type Begin, MAX_BODY_BYTES } from '../../src/audit/verify/row.ts';
import { event } from './support/history.ts';
import { testSigner } from './support/keys.ts';

const PAGE = 50;
const CHAIN = 'one';
const MIB = 1_048_576;

setFlagsFromString('--expose-gc');
const collect: () => void = runInNewContext('gc');
const sample = { ...event(CHAIN, [], { signer: testSigner('one') }), payload: '{}' };

/** A source of rows with these seqs, made when they are asked for; `signed` tells by index which have a signature. */
function sourceOf(seqs: readonly number[], signed: (index: number) => boolean, bodyBytes = 1) {
  const peaks: number[] = [];
  async function* pages(begin: Begin = new Map()) {
    const first = begin.get(CHAIN)?.seq ?? 1;
    const wanted = [...seqs.keys()].filter((index) => Number(seqs[index]) >= first);
    for (let at = 0; at < wanted.length; at += PAGE) {
      const rows = wanted.slice(at, at + PAGE).map((index): AuditRow => {
        const signature = signed(index) ? sample.signature : null;
        return { ...sample, seq: Number(seqs[index]), signature, body: Buffer.alloc(bodyBytes) };
      });
      yield { rows, fraction: 0 };
      collect();
      peaks.push(process.memoryUsage().arrayBuffers);
    }
  }
  return { pages, peak: () => Math.max(...peaks) };
}

const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

t.test('a long unsigned tail is not held in memory', async (t) => {
  collect();
  const before = process.memoryUsage().arrayBuffers;
  const count = 3000;
  const source = sourceOf(upTo(count), (index) => index === 0, MAX_BODY_BYTES);
  const { newest, signed } = await readTail(source, CHAIN, { seq: count });
  t.equal(newest?.seq, count);
  t.match(signed, { row: { seq: 1 }, copies: 1 });
  const held = source.peak() - before;
  t.ok(held < 32 * MIB, `${Math.round(held / MIB)} MiB of ${Math.round((count * MAX_BODY_BYTES) / MIB)}`);
});

t.test('the newest signed event, and how many rows have its place', async (t) => {
  for (const [seqs, signed, expected] of [
    [upTo(10), [2, 6], { seq: 7, copies: 1 }],
    [[1, 2, 2, 3], [1], { seq: 2, copies: 2 }],
    [[1, 2, 2, 3], [2], { seq: 2, copies: 2 }],
    [[1, 2, 2, 2, 3], [1, 2], { seq: 2, copies: 3 }],
    [[1, 2, 2], [0], { seq: 1, copies: 1 }],
  ] as const) {
    const tail = await readTail(
      sourceOf(seqs, (index) => signed.some((one) => one === index)),
      CHAIN,
      { seq: Math.max(...seqs) },
    );
    t.same({ seq: tail.signed?.row.seq, copies: tail.signed?.copies }, expected);
  }
  const none = await readTail(
    sourceOf(upTo(300), () => false),
    CHAIN,
    { seq: 300 },
  );
  t.match(none, { newest: { seq: 300 }, signed: undefined });
});
