import { generateKeyPairSync } from 'node:crypto';
import fc from '../../support/fast-check.ts';

import { reload } from '../../system/support/policies.ts';
import { SPEC } from '../../system/support/world.ts';
import { type Operation, resolved } from './document.ts';
import { NAUGHTY } from './naughty.ts';
import type { Stage } from './stage.ts';
import type { Subjects } from './subjects.ts';
import { type Hints, valuesOf } from './values.ts';

/** The id of nothing. */
export const NOBODY = '01975a00-0000-7000-8000-0000000000ff';

/** Seconds; no generated agent expires within a run, for that would be a change of nobody's making. */
const TTL = { min: 3600, max: 2_592_000 };
const PUBLIC_KEY = generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' }).toString();

/** Members that mean something, so that a good part of the good requests gets past what a schema can say. */
export function hintsOf(stage: Stage, subjects: Subjects, { operationId, body }: Operation): Hints {
  const texts = (name: string, absent = NOBODY) => fc.constantFrom(...(subjects[name] ?? []), absent);
  const elevation = {
    workspaceId: fc.constantFrom('demo', 'other', 'nowhere'),
    minutes: fc.integer({ min: 1, max: 90 }),
  };
  const manifest = body === undefined ? undefined : resolved(body).properties?.['manifest'];
  return {
    ...(operationId === 'elevate' ? elevation : {}),
    // No text of chance is one, and the rest of the request is not looked at then.
    ...(manifest === undefined ? {} : { manifest: fc.option(valuesOf(manifest), { nil: undefined, freq: 2 }) }),
    ttlSeconds: fc.integer(TTL),
    // An answer that goes on for as long as its connection lives.
    follow: fc.constant(false),
    publicKey: fc.oneof(fc.constant(PUBLIC_KEY), fc.constantFrom(...NAUGHTY.filter((text) => text !== ''))),
    agentIds: fc.uniqueArray(texts('agentId'), { minLength: 1, maxLength: 4 }),
    agent_config: fc.oneof(
      fc.constantFrom<object>(SPEC, { name: 'b' }, {}, { ...SPEC, profile: 'illuvrse' }),
      valuesOf({ type: 'object' }),
    ),
    workspace_id: fc.constantFrom('demo', 'demo', 'demo', 'other', 'nowhere'),
    template_id: texts('template_id', 'nowhere'),
    // Never one of the other callers: what they may do would be over. The caller itself is a refusal of its own.
    principalId: fc.oneof(texts('principalId'), fc.constant('kernel-admin')),
    // The test asks faster than the lowest of them.
    requestsPerSecond: fc.constantFrom(null, 100_000, 1_000_000),
    bundle: fc.oneof(
      // A text of chance never compiles, and each try costs a compiler's start.
      fc.integer({ min: 0, max: 3 }).map((nth) => Reflect.get(reload({ monthlyUsd: 5000 + nth }), 'bundle')),
      fc.constantFrom<unknown>(
        { modules: {}, data: {} },
        { modules: { 'promotion.rego': 'package castellan.promotion\ndeny := 1 / 0' }, data: { a: [1e-300, null] } },
        { modules: { '../x.rego': '' }, data: {} },
        { tarball: 'H4sIAAAA' },
        { tarball: Buffer.alloc(10_000).toString('base64') },
      ),
    ),
    version: fc.integer({ min: 1, max: 4 }),
    proof: fc.oneof(fc.constant(stage.proof), valuesOf({})),
  };
}
