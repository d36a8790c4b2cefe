import t from 'tap';

import { type SealedEvent, sealEvent } from '../../src/audit/event.ts';
import { signingMode, unsigned } from '../../src/audit/signing-mode.ts';
import { mth, path } from '../transparency/support/reference.ts';

const stamp = { id: '01934c3e-6c00-7000-8000-000000000001', ts: '2026-11-21T09:00:00.000Z', signerId: 'audit-1' };

function sealed(count: number): SealedEvent[] {
  return Array.from({ length: count }, (_, at) =>
    sealEvent(
      { type: 'agent.stopped', actor: { id: 'x', kind: 'human' }, payload: { agentId: `${at}` } },
      { chain: 'demo', seq: at + 1, prevHash: '0'.repeat(64) },
      stamp,
    ),
  );
}

const hashes = (events: readonly SealedEvent[]) => events.map(({ hash }) => Buffer.from(hash, 'hex'));

/** Signs by giving the message back. */
async function signed(name: 'event' | 'batch', events: readonly SealedEvent[]) {
  const messages: Buffer[] = [];
  const rows = await signingMode(name).sign(events, async (message) => {
    messages.push(message);
    return message;
  });
  return { messages, rows };
}

function message(type: string, payload: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`DSSEv1 ${type.length} ${type} 32 `), payload]);
}

t.test('mode event: a signature over each hash, and no paths', async (t) => {
  const events = sealed(5);
  const { messages, rows } = await signed('event', events);
  const expected = hashes(events).map((hash) => message('application/vnd.castellan.audit-event.v1', hash));
  t.strictSame(messages, expected);
  t.strictSame(rows, { signatures: expected.map((each) => each.toString('base64')), paths: null });
});

t.test('mode batch: one signature over the root of 1 to 70 hashes, and the path of each', async (t) => {
  for (let size = 1; size <= 70; size += 1) {
    const events = sealed(size);
    const leaves = hashes(events);
    const { messages, rows } = await signed('batch', events);
    const expected = message('application/vnd.castellan.audit-batch.v1', mth(leaves));
    t.strictSame(messages, [expected], `${size}`);
    t.strictSame(rows, {
      signatures: events.map(() => expected.toString('base64')),
      paths: leaves.map((_, index) => Buffer.concat(path(index, leaves))),
    });
  }
});

t.test('without a signer nothing is signed', async (t) => {
  t.strictSame(unsigned(sealed(2)), { signatures: [null, null], paths: null });
});
