import t from 'tap';
import fc from '../support/fast-check.ts';

import { OPERATIONS } from './support/document.ts';
import { isTaken, mismatch } from './support/oracle.ts';
import { holds } from './support/runs.ts';
import { spoiltBodies } from './support/spoilt.ts';
import { valuesOf } from './support/values.ts';

t.test('a generated value is what its schema says, and a body that the strict reader takes', async (t) => {
  for (const operation of OPERATIONS) {
    const { operationId, body, parameters } = operation;
    for (const { schema, name } of parameters) {
      const property = fc.property(valuesOf(schema), (value) => mismatch(schema, value) === undefined);
      await t.test(`${operationId}: ${name}`, (t) => holds(t, property, 5));
    }
    if (body === undefined) continue;
    const property = fc.property(valuesOf(body), (value) => {
      const wrong = mismatch(body, value);
      if (wrong !== undefined) throw new Error(wrong);
      return isTaken(operation, Buffer.from(JSON.stringify(value)));
    });
    await t.test(operationId, (t) => holds(t, property, 10));
  }
});

t.test('many spoilt bodies are none of their operation', async (t) => {
  for (const operation of OPERATIONS) {
    if (operation.body === undefined) continue;
    const bodies = fc.sample(spoiltBodies(valuesOf(operation.body)), { seed: 1, numRuns: 300 });
    const refused = bodies.filter(({ bytes }) => !isTaken(operation, bytes)).length;
    t.ok(refused > bodies.length / 3, `${operation.operationId}: ${refused} of ${bodies.length}`);
  }
});
