import t from 'tap';

import { MAX_RUNS } from '../../src/audit/verify/doubtful-events.ts';
import { checkEvent, type EventClaims } from '../../src/audit/verify/event-check.ts';
import { Findings } from '../../src/audit/verify/finding.ts';
import { LogCover, limitingSizes } from '../../src/audit/verify/log-cover.ts';
import { parseRegistry } from '../../src/audit/verify/registry.ts';
import { SignerCheck } from '../../src/audit/verify/signer-check.ts';
import fc from '../support/fast-check.ts';
import { event } from './support/history.ts';

const TOLERANCE = 5000;
/** An event that claims nothing but its place. */
const PLAIN = plainClaims();
const NAMES = ['a', 'b', 'c'];
/** Few and far apart, so that limits are met exactly, missed by the tolerance, and missed by more. */
const time = fc.constantFrom(0, 1, 4000, 5000, 5001, 10_000, 15_000, 15_001, 20_000);
const optionalTime = fc.option(time, { freq: 2 });
const optionalSize = fc.option(fc.integer({ min: 0, max: 8 }));

interface ModelSigner {
  signerId: string;
  state: string;
  notBefore: number | null;
  notAfter: number | null;
  revokedAt: number | null;
  trustedUpTo: number | null;
  validFromSize: number | null;
  validToSize: number | null;
}

const signer = fc.record({
  state: fc.constantFrom('pending', 'active', 'retiring', 'retired', 'revoked', 'compromised', 'compromised'),
  notBefore: optionalTime,
  notAfter: optionalTime,
  revokedAt: optionalTime,
  trustedUpTo: optionalTime,
  validFromSize: optionalSize,
  validToSize: optionalSize,
});
const registries = fc
  .tuple(signer, signer, signer)
  .map((all) => all.map((one, index): ModelSigner => ({ signerId: NAMES[index] ?? '', ...one })));

/** Entries of the log: how far chain `one` grew with each; 0: an entry of another chain. */
const logs = fc.option(fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 8 }), { freq: 4 });

interface ModelEvent {
  signerId: string;
  tsMs: number;
  /** What it vouches for: of which signer, and how far it errs. */
  vouches: { signerId: string; late: number; short: number; hash: 'own' | 'last' | 'another' } | null;
}

const events = fc.array(
  fc.record({
    signerId: fc.constantFrom(...NAMES),
    tsMs: time,
    vouches: fc.option(
      fc.record({
        signerId: fc.constantFrom(...NAMES),
        late: fc.constantFrom(0, 0, 0, 1, 2),
        short: fc.constantFrom(0, 0, 0, 1, -1),
        hash: fc.constantFrom('own', 'own', 'own', 'last', 'another'),
      }),
      { freq: 3 },
    ),
  }),
  { maxLength: 25 },
);

t.test('random registries, logs and events: found is what the words of the format say, event by event', async () => {
  fc.assert(
    fc.property(registries, logs, events, (signers, log, history) => {
      const expected = slowly(signers, log, history);
      const found = quickly(signers, log, history);
      if (JSON.stringify(found) !== JSON.stringify(expected)) {
        throw new Error(`${JSON.stringify(found)} instead of ${JSON.stringify(expected)}`);
      }
    }),
    { numRuns: 4000 },
  );
});

t.test('what the log covers at a limit is what the entries up to it say, whatever comes after', async (t) => {
  const cover = new LogCover([2, 4, 4, 9]);
  for (const [chain, size] of [
    ['one', 3],
    ['two', 1],
    ['one', 5],
    [undefined, 0],
    ['one', 8],
    ['two', 4],
  ] as const) {
    cover.add(chain, size);
  }
  t.same([cover.of('one', 2), cover.of('two', 2)], [3, 1]);
  t.same([cover.of('one', 4), cover.of('two', 4), cover.of('three', 4)], [5, 1, 0]);
  t.equal(cover.of('one', 9), undefined, 'the log does not go so far');
  t.equal(cover.largest, 9);
  t.equal(new LogCover([]).largest, undefined);
});

/** Every other one of a million events is in doubt, and one that begins at `from` vouches for them. */
function inTurns(from: number) {
  const findings = new Findings();
  const registry = parseRegistry([{ ...entryOf('stolen'), state: 'compromised' }, entryOf('good')]);
  const check = new SignerCheck('one', undefined, { registry, findings });
  const total = 1_000_000;
  for (let seq = 2; seq <= total; seq += 2) check.add(seq, claims(seq, 'stolen', 0), `h${seq}`);
  check.add(total + 1, { ...claims(total + 1, 'good', 0), reattests: vouching(from, total) }, 'x');
  check.finish();
  return findings;
}

t.test(
  'a million events by two replicas in turns: those of a stolen key are all vouched for, or all named',
  async (t) => {
    t.same([...inTurns(1).counts], [['reattested', 1]]);
    const some = inTurns(2 * MAX_RUNS + 2);
    t.same(
      [...some.counts],
      [
        ['reattested', 1],
        ['signer-compromised', MAX_RUNS],
      ],
      'up to the first one past those that are kept',
    );
    const none = inTurns(2 * MAX_RUNS + 3);
    t.same([...none.counts], [['signer-compromised', 500_000]], 'not from a later one on, and each counts');
    t.ok(none.kept.length < 3000);
  },
);

t.test('a run of a million doubtful events costs one range, and one event vouches for all', async (t) => {
  const findings = new Findings();
  const registry = parseRegistry([{ ...entryOf('stolen'), state: 'compromised' }, entryOf('good')]);
  const check = new SignerCheck('one', undefined, { registry, findings });
  for (let seq = 1; seq <= 1_000_000; seq += 1) check.add(seq, claims(seq, 'stolen', 0), `h${seq}`);
  t.equal(check.settled, false);
  check.add(1_000_001, { ...claims(1_000_001, 'good', 0), reattests: vouching(1, 1_000_000) }, 'x');
  t.equal(check.settled, true);
  check.finish();
  t.same([...findings.counts], [['reattested', 1]]);
  t.equal(findings.problems, 0);
});

function vouching(from: number, to: number) {
  return { signerId: 'stolen', from, to, hash: `h${to}` };
}

function entryOf(signerId: string) {
  return { signerId, alg: 'Ed25519', publicKey: null, purpose: 'audit', state: 'active' };
}

function claims(seq: number, signerId: string, tsMs: number): EventClaims {
  return { ...PLAIN, seq, tsMs, signerId };
}

function plainClaims(): EventClaims {
  const row = event('one', [], { signer: null });
  const { body } = checkEvent({ ...row, payload: JSON.stringify(row.payload) });
  if (typeof body === 'string') throw new Error(body);
  return body;
}

/** [seq, class], ascending. */
type Found = [seq: number, name: string][];

function quickly(
  signers: readonly ModelSigner[],
  log: readonly number[] | null,
  history: readonly ModelEvent[],
): Found {
  const iso = (ms: number | null) => (ms === null ? null : new Date(ms).toISOString());
  const registry = parseRegistry(
    signers.map((one) => ({
      ...entryOf(one.signerId),
      ...one,
      notBefore: iso(one.notBefore),
      notAfter: iso(one.notAfter),
      revokedAt: iso(one.revokedAt),
      trustedUpTo: iso(one.trustedUpTo),
    })),
  );
  const cover = new LogCover(limitingSizes(registry));
  let size = 0;
  for (const grown of log ?? []) {
    size += grown;
    if (grown > 0) cover.add('one', size);
    else cover.add('other', 1);
  }
  const findings = new Findings();
  const covered = log === null ? undefined : (at: number) => cover.of('one', at);
  const check = new SignerCheck('one', covered, { registry, findings });
  for (const [index, { signerId, tsMs }] of history.entries()) {
    const seq = index + 1;
    check.add(seq, { ...claims(seq, signerId, tsMs), reattests: reattestation(history, signers, log, seq) }, `h${seq}`);
  }
  check.finish();
  return sorted(findings.kept.map((finding): [number, string] => [finding.seq, finding.class]));
}

/** The payload of the event at `seq`, with the faults it was given. */
function reattestation(
  history: readonly ModelEvent[],
  signers: readonly ModelSigner[],
  log: readonly number[] | null,
  seq: number,
): EventClaims['reattests'] {
  const vouches = history[seq - 1]?.vouches ?? null;
  if (vouches === null) return undefined;
  const doubtful = doubtfulBefore(history, signers, log, seq, vouches.signerId);
  const to = (doubtful.at(-1) ?? 1) - vouches.short;
  return {
    signerId: vouches.signerId,
    from: (doubtful[0] ?? 1) + vouches.late,
    to,
    hash: { own: `h${to}`, last: `h${doubtful.at(-1)}`, another: 'another' }[vouches.hash],
  };
}

function doubtfulBefore(
  history: readonly ModelEvent[],
  signers: readonly ModelSigner[],
  log: readonly number[] | null,
  seq: number,
  signerId: string,
): number[] {
  return history
    .map((event, index) => ({ event, at: index + 1 }))
    .filter(({ event, at }) => at < seq && event.signerId === signerId)
    .filter(({ event, at }) => verdict(signers, log, event, at) === 'signer-compromised')
    .map(({ at }) => at);
}

/** The words of the format, one after the other. */
function slowly(signers: readonly ModelSigner[], log: readonly number[] | null, history: readonly ModelEvent[]): Found {
  const found: Found = [];
  const vouched = new Set<number>();
  for (const [index, event] of history.entries()) {
    const seq = index + 1;
    const of = reattestation(history, signers, log, seq);
    if (of === undefined || verdict(signers, log, event, seq) !== undefined) continue;
    if (of.signerId === event.signerId) continue;
    const doubtful = doubtfulBefore(history, signers, log, seq, of.signerId);
    if (of.to !== doubtful.at(-1) || of.hash !== `h${of.to}`) continue;
    const fresh = doubtful.filter((one) => one >= of.from && one <= of.to && !vouched.has(one));
    if (fresh.length > 0) found.push([of.from, 'reattested']);
    for (const one of fresh) vouched.add(one);
  }
  for (const [index, event] of history.entries()) {
    const name = vouched.has(index + 1) ? undefined : verdict(signers, log, event, index + 1);
    if (name !== undefined) found.push([index + 1, name]);
  }
  return sorted(found);
}

function verdict(
  signers: readonly ModelSigner[],
  log: readonly number[] | null,
  { signerId, tsMs }: ModelEvent,
  seq: number,
): string | undefined {
  const one = signers.find((candidate) => candidate.signerId === signerId);
  if (one === undefined) return 'signer-out-of-range';
  const past = one.validToSize !== null && seq > coveredBy(log, one.validToSize, Number.POSITIVE_INFINITY);
  const before = one.validFromSize !== null && seq <= coveredBy(log, one.validFromSize, 0);
  if (one.state === 'compromised') {
    const until = one.trustedUpTo === null ? one.revokedAt : one.trustedUpTo;
    if (until === null || tsMs > until || past) return 'signer-compromised';
  }
  const early = one.notBefore !== null && tsMs + TOLERANCE < one.notBefore;
  const late = one.notAfter !== null && tsMs > one.notAfter + TOLERANCE;
  const revoked = one.state === 'revoked' && (one.revokedAt === null || tsMs > one.revokedAt + TOLERANCE);
  return one.state === 'pending' || early || late || revoked || past || before ? 'signer-out-of-range' : undefined;
}

/** What the first `entries` of the log cover; `unknown` without the log, or of one that is shorter. */
function coveredBy(log: readonly number[] | null, entries: number, unknown: number): number {
  if (log === null || log.length < entries) return unknown;
  return log.slice(0, entries).reduce((sum, grown) => sum + grown, 0);
}

function sorted(found: Found): Found {
  return found.toSorted((a, b) => a[0] - b[0] || (a[1] < b[1] ? -1 : 1));
}
