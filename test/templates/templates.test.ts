import t from 'tap';

import { testService } from '../support/service.ts';

const TEMPLATES = '/api/v1/templates';

const { call, database } = await testService(t);

t.test("templates belong to one workspace, and another's look like none", async (t) => {
  const create = (who: string, body: object) => call(who, 'POST', TEMPLATES, { name: 'a', agent_config: {}, ...body });
  for (const templateId of ['one', 'two', 'three']) {
    t.equal((await create('operator', { template_id: templateId })).status, 201);
  }
  t.match(await create('outsider', { template_id: 'one' }), { status: 201, body: { workspace_id: 'other' } });

  const listed = async (query: string, who = 'operator') => call(who, 'GET', `${TEMPLATES}${query}`);
  const first = await listed('?limit=2');
  t.same(
    first.body.templates.map((one: { template_id: string }) => one.template_id),
    ['one', 'three'],
  );
  const second = await listed(`?limit=2&cursor=${first.body.next_cursor}`);
  t.match(second.body, { templates: [{ template_id: 'two' }], next_cursor: null });
  t.equal((await listed(`?workspace_id=other&cursor=${first.body.next_cursor}`, 'kernel-admin')).status, 400);
  t.match((await listed('?workspace_id=other', 'kernel-admin')).body, { templates: [{ workspace_id: 'other' }] });

  t.match(await listed('', 'kernel-admin'), { status: 400, body: { errors: [{ pointer: '/query/workspace_id' }] } });
  t.match(await listed('?workspace_id=other'), { status: 404 });
  t.match(await create('operator', { workspace_id: 'other' }), { status: 404, body: { code: 'NOT_FOUND' } });
  t.match(await create('kernel-admin', {}), { status: 400, body: { errors: [{ pointer: '/workspace_id' }] } });
  t.match(await create('kernel-admin', { workspace_id: 'nowhere' }), { status: 404 });
  t.equal((await call('outsider', 'GET', `${TEMPLATES}/two`)).status, 404);
  t.equal((await call('outsider', 'GET', `${TEMPLATES}/two?workspace_id=demo`)).status, 404);
  t.equal((await call('outsider', 'DELETE', `${TEMPLATES}/two`)).status, 404);

  const byAdmin = (path: string) => call('kernel-admin', 'GET', `${TEMPLATES}/${path}`);
  t.match(await byAdmin('two'), { status: 200, body: { workspace_id: 'demo' } }, 'the only one that has it');
  t.match(await byAdmin('one'), { status: 400, body: { errors: [{ pointer: '/query/workspace_id' }] } });
  t.match(await byAdmin('one?workspace_id=other'), { status: 200, body: { workspace_id: 'other' } });
  t.equal((await byAdmin('nothing')).status, 404);
  t.equal((await byAdmin('%00')).status >= 400, true);

  t.match(await call('auditor', 'GET', `${TEMPLATES}/two`), { status: 200 });
  t.match(await create('auditor', { workspace_id: 'demo' }), { status: 403, body: { code: 'PERMISSION_DENIED' } });
  t.match(await call('agent', 'GET', `${TEMPLATES}/two`), { status: 403 });
});

t.test('a template is created, read, changed and deleted', async (t) => {
  const events = async () => {
    const { rows } = await database.query(
      `SELECT event_type AS type, payload FROM audit_events WHERE chain = 'demo' AND event_type LIKE 'template.%'
       AND payload ->> 'templateId' = 'reader' ORDER BY seq`,
    );
    return rows;
  };

  const body = { template_id: 'reader', name: 'Reader', agent_config: { profile: 'personal', tools: ['a'] } };
  const created = await call('operator', 'POST', TEMPLATES, body);
  t.equal(created.status, 201, created.text);
  t.match(created.body, { ...body, version: 1, workspace_id: 'demo', updated_by: 'operator' });
  t.equal(created.headers.etag, '"1"');
  t.equal(created.headers.location, `${TEMPLATES}/reader?workspace_id=demo`);

  const read = await call('operator', 'GET', `${TEMPLATES}/reader`);
  t.same([read.status, read.body, read.headers.etag], [200, created.body, '"1"']);
  t.equal((await call('operator', 'GET', `${TEMPLATES}/reader`, undefined, { 'if-none-match': '"1"' })).status, 304);

  const patch = { agent_config: { tools: null, labels: { team: 'a' } } };
  const stale = await call('operator', 'PATCH', `${TEMPLATES}/reader`, patch, { 'if-match': '"2"' });
  t.match(stale, { status: 412, body: { code: 'PRECONDITION_FAILED' } });
  const patched = await call('operator', 'PATCH', `${TEMPLATES}/reader`, patch, { 'if-match': '"1"' });
  t.equal(patched.status, 200, patched.text);
  t.equal(patched.headers.etag, '"2"');
  t.same(patched.body.agent_config, { profile: 'personal', labels: { team: 'a' } }, 'merged as RFC 7396 says');
  t.match(patched.body, { version: 2, name: 'Reader' });
  const same = await call('operator', 'PATCH', `${TEMPLATES}/reader`, { name: 'Reader', agent_config: {} });
  t.same(same.body, patched.body, 'what changes nothing makes no version');
  const renamed = await call('orchestrator', 'PATCH', `${TEMPLATES}/reader`, { name: 'Better reader' });
  t.match(renamed.body, { version: 3, name: 'Better reader', config_hash: patched.body.config_hash });

  t.match(await call('operator', 'POST', TEMPLATES, body), { status: 409, body: { code: 'ALREADY_EXISTS' } });
  t.equal((await call('operator', 'DELETE', `${TEMPLATES}/reader`, undefined, { 'if-match': '"1"' })).status, 412);
  t.equal((await call('operator', 'DELETE', `${TEMPLATES}/reader`)).status, 204);
  t.equal((await call('operator', 'GET', `${TEMPLATES}/reader`)).status, 404);
  t.equal((await call('operator', 'DELETE', `${TEMPLATES}/reader`)).status, 404);

  t.same(
    (await events()).map(({ type, payload }) => [type, payload.version]),
    [
      ['template.created', 1],
      ['template.updated', 2],
      ['template.updated', 3],
      ['template.deleted', 3],
    ],
  );
  const { rows } = await database.query(
    `SELECT version, name FROM template_versions WHERE template_id = 'reader' ORDER BY version`,
  );
  t.same(
    rows.map(({ version, name }) => [version, name]),
    [
      [1, 'Reader'],
      [2, 'Reader'],
      [3, 'Better reader'],
    ],
    'all versions stay',
  );

  t.match(await call('operator', 'POST', TEMPLATES, { ...body, version: 1 }), {
    status: 409,
    body: { code: 'CONFLICT' },
  });
  const again = await call('operator', 'POST', TEMPLATES, { ...body, version: 4 });
  t.match(again, { status: 201, body: { version: 4 } }, 'a version names one config for ever');
});

t.test('what a template may be', async (t) => {
  const create = (body: object) => call('operator', 'POST', TEMPLATES, { name: 'a', agent_config: {}, ...body });
  const refused = async (body: object, pointer: string) => {
    const answer = await create(body);
    t.match(answer, { status: 400, body: { code: 'VALIDATION_FAILED', errors: [{ pointer }] } }, JSON.stringify(body));
  };
  await refused({ template_id: 'Not a name' }, '/template_id');
  await refused({ template_id: '../other' }, '/template_id');
  await refused({ name: ' ' }, '/name');
  await refused({ agent_config: { nickname: 'b' } }, '/agent_config/nickname');
  await refused({ agent_config: { model: { temperature: 3 } } }, '/agent_config/model/temperature');
  await refused({ agent_config: { runtime: { command: ['a'], image: 'b' } } }, '/agent_config/runtime');
  await refused({ agent_config: { tools: null } }, '/agent_config/tools');
  await refused({ actor: 'root' }, '/actor');
  t.match(await create({ agent_config: { profile: 'illuvrse' } }), {
    status: 403,
    body: { code: 'MANIFEST_REQUIRED' },
  });

  const unnamed = await create({});
  t.equal(unnamed.status, 201, unnamed.text);
  t.match(unnamed.body.template_id, /^[0-9a-f-]{36}$/, 'an id is made where none is given');
  const path = `${TEMPLATES}/${unnamed.body.template_id}`;
  t.match(await call('operator', 'PATCH', path, { agent_config: { profile: 'illuvrse' } }), {
    status: 403,
    body: { code: 'MANIFEST_REQUIRED' },
  });
  t.match(await call('operator', 'PATCH', path, {}), { status: 400 });
  t.match((await call('operator', 'GET', path)).body, { version: 1, agent_config: {} });
});

t.test('a stored template that somebody edited is used for nothing', async (t) => {
  await call('operator', 'POST', TEMPLATES, { template_id: 'a', name: 'a', agent_config: { profile: 'personal' } });
  await database.query(`UPDATE template_versions SET config_bytes = '{"profile":"other"}' WHERE template_id = 'a'`);
  t.match(await call('operator', 'GET', `${TEMPLATES}/a`), { status: 422, body: { code: 'UNPROCESSABLE' } });
  const spawned = await call('operator', 'POST', '/api/v1/agent/spawn', {
    template_id: 'a',
    agent_config: { name: 'b' },
  });
  t.match(spawned, { status: 422, body: { code: 'UNPROCESSABLE' } });
});
