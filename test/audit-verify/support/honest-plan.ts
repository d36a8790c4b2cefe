import fc from '../../support/fast-check.ts';

/** Histories of one world, each in a chain of its own. */
export const CHAINS = 40;

const replica = fc.nat({ max: 1 });
const chain = fc.nat({ max: CHAINS - 1 });
/** Those that old events are removed from, time and again. */
const oneOfFew = fc.nat({ max: 11 });
const pick = fc.nat();
const mode = fc.constantFrom('event' as const, 'batch' as const);
/** PostgreSQL stores no U+0000. */
const text = fc.string({ unit: 'grapheme', maxLength: 12 }).filter((value) => !value.includes('\0'));
const event = fc.record({
  kind: fc.nat({ max: 5 }),
  actor: fc.nat({ max: 3 }),
  reason: fc.option(text, { nil: undefined }),
});
const unit = fc.record({ chain, brake: fc.boolean(), events: fc.array(event, { minLength: 1, maxLength: 20 }) });
const units = fc.array(unit, { minLength: 1, maxLength: 12, size: 'max' });

const step = fc.oneof(
  { weight: 16, arbitrary: fc.record({ does: fc.constant('append' as const), replica, units }) },
  { weight: 5, arbitrary: fc.record({ does: fc.constant('appendBoth' as const), units, others: units }) },
  {
    weight: 5,
    arbitrary: fc.record({ does: fc.constant('outage' as const), replica, units, lasts: fc.nat({ max: 3 }) }),
  },
  { weight: 6, arbitrary: fc.record({ does: fc.constant('restart' as const), replica, mode, moves: fc.boolean() }) },
  { weight: 6, arbitrary: fc.record({ does: fc.constant('rotate' as const), replica, mode, emergency: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ does: fc.constant('lose' as const), replica }) },
  { weight: 6, arbitrary: fc.record({ does: fc.constant('retire' as const), revokes: fc.boolean(), pick }) },
  { weight: 2, arbitrary: fc.record({ does: fc.constant('mark' as const), replica }) },
  {
    weight: 3,
    arbitrary: fc.record({ does: fc.constant('compromise' as const), replica, pick, late: fc.nat({ max: 3 }) }),
  },
  { weight: 2, arbitrary: fc.record({ does: fc.constant('vouch' as const) }) },
  { weight: 4, arbitrary: fc.record({ does: fc.constant('closeRanges' as const), replica }) },
  { weight: 6, arbitrary: fc.record({ does: fc.constant('round' as const), replica }) },
  {
    weight: 9,
    arbitrary: fc.record({
      does: fc.constant('erase' as const),
      replica,
      chain: oneOfFew,
      pick,
      byActor: fc.boolean(),
    }),
  },
  { weight: 5, arbitrary: fc.record({ does: fc.constant('hold' as const), replica, chain: fc.nat({ max: 2 }) }) },
  { weight: 12, arbitrary: fc.record({ does: fc.constant('approve' as const), replica, chain: oneOfFew, pick }) },
  { weight: 9, arbitrary: fc.record({ does: fc.constant('remove' as const), pick, all: fc.boolean() }) },
);

export type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;
export type Does = Step['does'];
export type StepOf<D extends Does> = Extract<Step, { does: D }>;
export type Units = StepOf<'append'>['units'];

/** What happens in one database, and how far the clocks of its two replicas are off. */
export const plan = fc.record({
  skews: fc.tuple(fc.integer({ min: -1000, max: 1000 }), fc.integer({ min: -1000, max: 1000 })),
  modes: fc.tuple(mode, mode),
  steps: fc.array(fc.record({ step, after: fc.nat({ max: 3000 }) }), { minLength: 75, maxLength: 85, size: 'max' }),
});

export type Plan = typeof plan extends fc.Arbitrary<infer P> ? P : never;
