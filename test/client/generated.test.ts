import { readFileSync } from 'node:fs';
import t from 'tap';

import { OPERATIONS } from '../../packages/client/src/generated.ts';
import { clientTypes } from '../../scripts/build-client-types.ts';

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

t.test('the committed types are those of openapi.yaml', async (t) => {
  t.ok(
    read('packages/client/src/generated.ts') === clientTypes(read('openapi.yaml')),
    'stale: node scripts/build-client-types.ts',
  );
});

t.test('every operation is there, with what the client must know', async (t) => {
  const ids = [...read('openapi.yaml').matchAll(/operationId: (\S+)/g)].map((match) => match[1]);
  t.same(Object.keys(OPERATIONS).sort(), ids.sort());
  t.equal(OPERATIONS.verifyProof.readOnly, true, 'a POST that only reads may be repeated');
  t.equal(OPERATIONS.startAgent.readOnly, false);
  t.equal(OPERATIONS.listAgentStatuses.list, 'agents');
  t.same(OPERATIONS.getAgent.answers[304], null);
});

t.test('a schema that the generator would have to guess at stops it', async (t) => {
  const withSchema = (schema: string) => `
paths: { /x: { get: { operationId: x, summary: X, responses: { '200': { content: { application/json: { schema: ${schema} } } } } } } }
components: { schemas: {} }`;
  t.match(clientTypes(withSchema('{ type: [string, "null"] }')), /body: string \| null/);
  t.match(clientTypes(withSchema('{ $ref: "#/components/schemas/Y" }')), /body: Y /);
  t.throws(() => clientTypes(withSchema('{ oneOf: [] }')), /keyword oneOf/);
  t.throws(() => clientTypes(withSchema('{ type: date }')), /type date/);
});
