import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';

import { scriptedIsolation } from '../sandbox-runs/support/scripted-isolation.ts';
import fc from '../support/fast-check.ts';
import { type Answer, testCertificates, testService } from '../support/service.ts';
import bodies from './outage-bodies.json' with { type: 'json' };
import { type Operation, operations, QUERIES } from './support/operations.ts';
import { SPEC } from './support/world.ts';

/** In whatever the victim has stored; nobody else may ever read it. */
const CANARY = 'kept-by-the-victim';
const CALLS = 400;
const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;
const NOBODY = '01975a00-0000-7000-8000-0000000000ff';
const BODIES: Readonly<Record<string, unknown>> = bodies;

type Call = TestService['call'];
type TestService = Awaited<ReturnType<typeof testService>>;

/** What the victim's workspace has, by kind: the values that a stranger may come to know. */
interface Loot {
  readonly ids: readonly string[];
  readonly cursors: readonly string[];
  readonly templates: readonly string[];
}

t.test('whatever a caller asks with, another workspace neither answers nor changes', async (t) => {
  const mapFile = await mapWithStrangers(t);
  const { call, database } = await testService(t, { identity: { mapFile }, isolation: scriptedIsolation() });
  const loot = await victim(call);
  const digest = async () => {
    const { rows } = await database.query(await digestStatement(database));
    return JSON.stringify(rows);
  };
  const before = await digest();
  const known = new Set(loot.ids);
  let foreign = 0;
  for (const plan of fc.sample(plans(loot), CALLS)) {
    const { operation, path, body } = plan;
    const answer = await call('outsider', operation.method, path, body);
    const sent = `${path} ${JSON.stringify(body ?? null)}`;
    const name = `${operation.operationId} ${sent}`.slice(0, 300);
    if (plan.workspaceId === 'demo') {
      foreign += 1;
      requireNothing(t, answer, name);
    }
    if (answer.status >= 500 && answer.status !== 503) t.fail(`${name}: ${answer.text}`);
    if (answer.text.includes(CANARY)) t.fail(`${name} shows what is kept: ${answer.text.slice(0, 300)}`);
    const shown = [...answer.text.matchAll(UUID)].map(([id]) => id).filter((id) => known.has(id) && !sent.includes(id));
    if (shown.length > 0) t.fail(`${name} shows ids of another workspace: ${shown.join()}`);
  }
  t.ok(foreign > CALLS / 10, `${foreign} calls named the other workspace`);
  t.equal(await digest(), before, 'not one row of the other workspace was changed');
});

/** 404, and the same one as for what does not exist. */
function requireNothing(t: Test, { status, body, text }: Answer, name: string): void {
  const { instance: _id, ...problem } = body;
  const uniform = { code: 'NOT_FOUND', detail: 'There is no such resource, or it is not yours to see.', status: 404 };
  if (status !== 404 || problem.code !== uniform.code || problem.detail !== uniform.detail) t.fail(`${name}: ${text}`);
  if (Object.keys(problem).sort().join() !== 'code,detail,status,title,type') t.fail(`${name} says more: ${text}`);
}

/** The outsider with every role there is, in its own workspace. */
async function mapWithStrangers(t: Test): Promise<string> {
  const certs = await testCertificates(t);
  const map: { principals: { id: string; roles: string[] }[] } = JSON.parse(
    readFileSync(join(certs, 'identity-map.json'), 'utf8'),
  );
  for (const principal of map.principals) {
    if (principal.id === 'outsider') principal.roles = ['operator', 'kernel-approver', 'kernel-admin', 'auditor'];
  }
  return join(t.testdir({ 'map.json': JSON.stringify(map) }), 'map.json');
}

/** Agents, decisions, promotions, templates and events of the victim, with the canary in all that is free text. */
async function victim(call: Call): Promise<Loot> {
  const texts: string[] = [];
  const made = async (method: string, path: string, body?: unknown) => {
    const answer = await call('kernel-admin', method, path, body);
    texts.push(answer.text);
    return answer.body;
  };
  const spec = { ...SPEC, name: `${CANARY} agent`, instructions: CANARY };
  for (let index = 0; index < 4; index += 1) {
    const { id } = await made('POST', '/v1/workspaces/demo/agents', { spec });
    await made('POST', `/api/v1/agent/${id}/sandbox/run`, { tests: [`echo ${CANARY}`] });
    if (index > 0) await made('POST', `/v1/workspaces/demo/agents/${id}/start`);
    if (index > 1) await made('POST', `/v1/workspaces/demo/agents/${id}/promote`, { justification: CANARY });
    if (index > 2) await made('POST', `/v1/workspaces/demo/agents/${id}/quarantine`, { reason: CANARY });
  }
  const template = { workspace_id: 'demo', name: CANARY, agent_config: { name: CANARY } };
  const { template_id: templateId } = await made('POST', '/api/v1/templates', template);
  const cursors: string[] = [];
  for (const list of ['agents', 'agents/statuses', 'decisions', 'promotions', 'audit/events']) {
    const page = await made('GET', `/v1/workspaces/demo/${list}?limit=1`);
    if (typeof page.nextCursor === 'string') cursors.push(page.nextCursor);
    await made('GET', `/v1/workspaces/demo/${list}?limit=100`);
  }
  const ids = [...new Set(texts.flatMap((text) => text.match(UUID) ?? []))];
  return { ids, cursors, templates: [String(templateId)] };
}

interface Plan {
  readonly operation: Operation;
  readonly workspaceId: string;
  readonly path: string;
  readonly body: unknown;
}

/** Any operation, with anything of the victim's in any place. */
function plans(loot: Loot): fc.Arbitrary<Plan> {
  const id = fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...loot.ids) }, fc.constant(NOBODY), fc.constant('x'));
  const values = fc.record({
    workspaceId: fc.constantFrom('demo', 'other', 'nowhere'),
    agentId: id,
    decisionId: id,
    promotionId: id,
    revalidationId: id,
    elevationId: id,
    run_id: id,
    lockId: id,
    principalId: id,
    version: fc.constantFrom('1', '2'),
    signerId: fc.constantFrom('audit-1', 'nobody'),
    templateId: fc.constantFrom(...loot.templates, NOBODY),
    cursor: fc.option(fc.constantFrom(...loot.cursors), { nil: undefined, freq: 3 }),
    bodyId: id,
  });
  return fc.record({ operation: fc.constantFrom(...operations()), values }).map(({ operation, values }) => {
    const { cursor, bodyId, ...given } = values;
    const named: Readonly<Record<string, string>> = {
      ...given,
      agent_id: given.agentId,
      template_id: given.templateId,
      workspace_id: given.workspaceId,
    };
    const path = operation.path.replaceAll(/\{([^}]+)\}/g, (_all, name: string) => {
      const value = named[name];
      if (value === undefined) throw new RangeError(`no value for {${name}}`);
      return value;
    });
    const query = QUERIES[operation.operationId] ?? (operation.method === 'GET' && cursor ? `?cursor=${cursor}` : '');
    return {
      operation,
      workspaceId: operation.path.includes('{workspaceId}') ? given.workspaceId : '',
      path: `${path}${query}`,
      body: bodyOf(operation, named, bodyId),
    };
  });
}

/** A sample body with the victim's names in the place of its own. */
function bodyOf({ operationId, method }: Operation, named: Readonly<Record<string, string>>, bodyId: string): unknown {
  const sample = BODIES[operationId];
  if (sample === undefined || method === 'GET') return undefined;
  const filled = JSON.stringify(sample).replaceAll(UUID, bodyId);
  const body: unknown = JSON.parse(filled);
  if (typeof body !== 'object' || body === null) return body;
  const places = ['workspaceId', 'workspace_id', 'template_id', 'agentId'].filter((name) => name in body);
  return { ...body, ...Object.fromEntries(places.map((name) => [name, named[name]])) };
}

/** One digest of every table's rows of the victim. */
async function digestStatement(database: TestService['database']): Promise<string> {
  const { rows } = await database.query(
    `SELECT c.relname AS table, a.attname AS key FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
       AND (a.attname = 'workspace_id' OR (a.attname = 'chain' AND NOT EXISTS (
         SELECT FROM pg_attribute w WHERE w.attrelid = c.oid AND w.attname = 'workspace_id')))
     ORDER BY 1`,
  );
  return rows
    .map(
      ({ table, key }) => `SELECT '${table}' AS name, md5(string_agg(r::text, '|' ORDER BY r::text)) AS digest
        FROM ${table} r WHERE ${key} = 'demo'`,
    )
    .join(' UNION ALL ');
}
