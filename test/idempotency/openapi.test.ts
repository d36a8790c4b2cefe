import { readFileSync } from 'node:fs';
import t from 'tap';
import { parse } from 'yaml';

interface Declared {
  readonly operationId: string;
  readonly 'x-read-only'?: boolean;
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly required?: boolean }[];
  readonly responses: Readonly<Record<string, { readonly headers?: object }>>;
}

const document: { paths: Record<string, Record<string, Declared>> } = parse(
  readFileSync(new URL('../../openapi.yaml', import.meta.url), 'utf8'),
);
const OPERATIONS = Object.values(document.paths).flatMap((methods) => Object.entries(methods));

const honours = ({ parameters = [] }: Declared, name: string) =>
  parameters.some((one) => one.in === 'header' && one.name === name && one.required === false);

t.test('an acting POST, and nothing else, says that it takes a key', async (t) => {
  for (const [method, operation] of OPERATIONS) {
    const acts = method === 'post' && operation['x-read-only'] !== true;
    t.equal(honours(operation, 'idempotency-key'), acts, operation.operationId);
    if (!acts) continue;
    t.hasProps(operation.responses, ['409', '422'], operation.operationId);
    const success = Object.entries(operation.responses).filter(([status]) => status.startsWith('2'));
    for (const [, answer] of success) t.hasProps(answer.headers ?? {}, ['Idempotent-Replayed'], operation.operationId);
  }
});

t.test('conditions are told with the answers they bring', async (t) => {
  const having = (name: string) => OPERATIONS.filter(([, operation]) => honours(operation, name)).map(([, one]) => one);
  t.same(
    having('if-match')
      .map(({ operationId }) => operationId)
      .sort(),
    [
      'deleteAgent',
      'deleteTemplate',
      'hotReloadPolicy',
      'patchAgent',
      'patchTemplate',
      'patchWorkspaceSettings',
      'rollBackPolicy',
    ],
  );
  for (const { responses, operationId } of having('if-match')) t.hasProp(responses, '412', operationId);
  t.same(
    having('if-none-match')
      .map(({ operationId }) => operationId)
      .sort(),
    ['getAgent', 'getPolicySnapshot', 'getTemplate', 'getWorkspaceSettings'],
  );
  for (const { responses, operationId } of having('if-none-match')) t.hasProp(responses, '304', operationId);
});
