import fc from 'fast-check';
import t from 'tap';

import { createCapture } from '../../src/runtime/capture.ts';

const KEPT = 16;

function captured(chunks: readonly Buffer[], kept = KEPT) {
  const capture = createCapture(kept);
  for (const chunk of chunks) {
    const lent = Buffer.from(chunk);
    capture.push(lent);
    lent.fill(0x58); // It was only lent.
  }
  return capture.captured();
}

t.test('what fits into head and tail is kept whole, in whatever pieces it comes', async (t) => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 12 }), { maxLength: 6 }), (pieces) => {
      const chunks = pieces.map((piece) => Buffer.from(piece));
      const all = Buffer.concat(chunks);
      if (all.length > 2 * KEPT) return;
      t.same(captured(chunks), { text: all.toString('utf8'), bytes: all.length, truncated: false });
    }),
    { numRuns: 300 },
  );
});

t.test('of more, head and tail are kept and the rest is counted', async (t) => {
  fc.assert(
    fc.property(fc.array(fc.stringMatching(/^[a-z]{1,60}$/), { minLength: 3, maxLength: 9 }), (pieces) => {
      const all = pieces.join('');
      if (all.length <= 2 * KEPT) return;
      const text = `${all.slice(0, KEPT)}\n[... ${all.length - 2 * KEPT} bytes left out ...]\n${all.slice(-KEPT)}`;
      t.same(captured(pieces.map((piece) => Buffer.from(piece))), { text, bytes: all.length, truncated: true });
    }),
    { numRuns: 300 },
  );
});

t.test('a character is not cut: its pieces are left out', async (t) => {
  for (const character of ['é', '→', '𝄞']) {
    for (let shift = 0; shift < 4; shift += 1) {
      const all = Buffer.from(`${'x'.repeat(shift)}${character.repeat(40)}${'y'.repeat(shift)}`);
      const { text, bytes, truncated } = captured([all]);
      t.equal(bytes, all.length);
      t.equal(truncated, true);
      t.notMatch(text, /\u{fffd}/u, `${character} ${shift}`);
      const omitted = Number(/(\d+) bytes left out/.exec(text)?.[1]);
      t.equal(Buffer.byteLength(text.replace(/\n\[.*\]\n/, '')) + omitted, bytes);
    }
  }
});

t.test('what is no UTF-8 is replaced, and costs no more than is kept', async (t) => {
  const { text } = captured([Buffer.alloc(1000, 0x80)]);
  t.ok(text.isWellFormed());
  t.match(text, /\u{fffd}/u);
  t.ok(captured([Buffer.alloc(10_000_000, 0xff)]).text.length < 200);
});
