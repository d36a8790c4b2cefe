import t from 'tap';

import type { AuditAppender } from '../../src/audit/append.ts';
import type { EventInput } from '../../src/audit/event.ts';
import { createTrustRecorder } from '../../src/trust/recorder.ts';

const MAP = {
  type: 'identity.map.applied',
  payload: { digest: 'sha256:1', principals: 1, closedConnections: 0 },
} as const;

/** An audit that is there or away. */
function bench() {
  const written: EventInput[] = [];
  const state = { away: false, dropped: 0 };
  const audit = {
    commit: async (unit: { work: (scope: object) => Promise<unknown> }) => {
      if (state.away) throw new Error('away');
      await unit.work({ append: (event: EventInput) => written.push(event) });
    },
    // Of the scope of a unit only `append` is used here.
  } as unknown as AuditAppender;
  const recorder = createTrustRecorder({
    audit,
    dropped: (events) => {
      state.dropped += events;
    },
  });
  return { recorder, written, state };
}

t.test('what cannot be written waits, and is written once', async (t) => {
  const { recorder, written, state } = bench();
  state.away = true;
  recorder.applied([MAP]);
  await t.rejects(recorder.flush());
  recorder.refused({ source: 'client_ca', problems: ['not PEM'] });
  state.away = false;
  await recorder.flush();
  await recorder.flush();
  t.match(written, [
    { type: 'identity.map.applied', actor: { id: 'castellan', kind: 'system' } },
    { type: 'identity.reload.refused', payload: { source: 'client_ca', problem: 'not PEM' } },
  ]);
  t.equal(written.length, 2);
});

t.test('any number of mistakes fits into an event', async (t) => {
  const { recorder, written } = bench();
  recorder.refused({ source: 'identity_map', digest: 'sha256:1', problems: Array(10_000).fill('wrong') });
  await recorder.flush();
  t.match(written, [{ payload: { problem: /^.{1000}$/ } }]);
});

t.test('what an event cannot keep, of whatever is in a file, holds up no other event', async (t) => {
  const { recorder, written } = bench();
  recorder.refused({ source: 'identity_map', problems: [`${'a'.repeat(999)}\u{1f600}`, 'b'] });
  recorder.refused({ source: 'identity_map', problems: ['a\0b\ud800c\u{1f600}'] });
  await recorder.flush();
  for (const { payload } of written) {
    const { problem } = Object(payload);
    t.ok(problem.isWellFormed() && !problem.includes('\0'), JSON.stringify(problem));
  }
  t.match(written[1], { payload: { problem: 'a\ufffdb\ufffdc\u{1f600}' } });
});

t.test('changes without end while nothing can be written are given up, and counted', async (t) => {
  const { recorder, state } = bench();
  state.away = true;
  for (let n = 0; n < 1_010; n += 1) recorder.applied([MAP]);
  await t.rejects(recorder.flush());
  t.equal(state.dropped, 10);
});
