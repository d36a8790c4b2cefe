import t from 'tap';
import { parse } from 'yaml';
import { renderOpenApiYaml } from '../../src/http/openapi.ts';
import { Unauthenticated } from '../../src/identity/errors.ts';
import { testAuthority } from '../certs/material.ts';
import { buildApp } from './fixture.ts';

const material = await testAuthority();

async function rendered() {
  const app = await buildApp(material);
  t.teardown(() => app.close());
  await app.ready();
  return { app, yaml: renderOpenApiYaml(app) };
}

t.test('the description', async (t) => {
  const { app, yaml } = await rendered();
  const document = parse(yaml);
  t.equal(document.openapi, '3.1.0');
  t.equal(document.info.title, 'Castellan API');
  t.match(document.components.securitySchemes, {
    mutualTLS: { type: 'mutualTLS' },
    bearer: { type: 'http', scheme: 'bearer' },
  });
  t.same(document.security, [{ mutualTLS: [] }, { mutualTLS: [], bearer: [] }, { bearer: [] }]);
  t.equal(document.components.schemas.Problem.$id, undefined);
  t.same(Object.keys(document.paths), Object.keys(document.paths).toSorted());

  const create = document.paths['/v1/workspaces/{workspaceId}/agents'].post;
  t.equal(create['x-permission'], 'agents.write');
  t.same(create['x-audit-events'], ['agent.created']);
  t.same(create.responses.default, { $ref: '#/components/responses/Problem' });
  t.same(create.responses[429], { $ref: '#/components/responses/RateLimited' });
  t.same(create.responses[503], { $ref: '#/components/responses/Unavailable' });
  t.notOk(document.paths['/docs/json'], 'routes of libraries are not described');
  t.notOk(document.paths['/v1/workspaces/{workspaceId}/agents'].head);

  t.equal(yaml, (await rendered()).yaml, 'the same routes give the same bytes');
  t.same((await app.inject('/openapi.json')).json(), document, 'and the same document over HTTP');
});

t.test('the documentation is for known callers', async (t) => {
  const { app } = await rendered();
  for (const url of ['/docs/', '/docs/static/swagger-ui.css', '/docs/static/index.html', '/docs/json']) {
    const answer = await app.inject(url);
    t.ok(answer.statusCode === 200 || answer.statusCode === 302, `${url} ${answer.statusCode}`);
  }
  const refusing = await buildApp({
    ...material,
    authenticate: () => {
      throw new Unauthenticated('NO_CERTIFICATE');
    },
  });
  t.teardown(() => refusing.close());
  for (const url of [
    '/docs',
    '/docs/',
    '/docs/static/swagger-ui.css',
    '/docs/yaml',
    '/openapi.json',
    '/no/such/route',
  ]) {
    const answer = await refusing.inject(url);
    t.equal(answer.statusCode, 401, url);
    t.equal(answer.json().code, 'UNAUTHENTICATED');
  }
});
