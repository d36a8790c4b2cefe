import t from 'tap';
import { notModified, parseEtags, requireIfMatch, strongEtag } from '../../src/http/etag.ts';
import { testAuthority } from '../certs/material.ts';
import { buildApp, NoQuery } from './fixture.ts';

t.test('parsing', async (t) => {
  t.equal(strongEtag('sha256:ab.3'), '"sha256:ab.3"');
  t.throws(() => strongEtag('a"b'));
  t.equal(parseEtags(' * '), '*');
  t.same(parseEtags('"a", W/"b,c" ,"" '), ['"a"', 'W/"b,c"', '""']);
  for (const bad of ['', 'a', '"a', '"a" "b"', '"a",', ',"a"', '*, "a"', 'w/"a"', '"a\u00e9"']) {
    t.equal(parseEtags(bad), undefined, JSON.stringify(bad));
  }
  t.equal(parseEtags(Array(40).fill('"a"').join(',')), undefined, 'too many');
});

t.test('conditions over HTTP', async (t) => {
  const app = await buildApp({
    ...(await testAuthority()),
    routes: (instance) => {
      instance.get(
        '/thing',
        {
          config: { permission: 'authenticated', audit: [] },
          schema: { operationId: 'thing', tags: ['t'], summary: 's', querystring: NoQuery, response: { 200: {} } },
        },
        async (request, reply) => {
          requireIfMatch(request, '"v2"');
          return notModified(request, reply, '"v2"') ? reply.send() : { version: 2 };
        },
      );
    },
  });
  t.teardown(() => app.close());
  const status = async (headers: Record<string, string>) => (await app.inject({ url: '/thing', headers })).statusCode;

  t.equal(await status({}), 200);
  t.equal(await status({ 'if-match': '"v2"' }), 200);
  t.equal(await status({ 'if-match': '"v1", "v2"' }), 200);
  t.equal(await status({ 'if-match': '*' }), 200);
  t.equal(await status({ 'if-match': '"v1"' }), 412);
  t.equal(await status({ 'if-match': 'W/"v2"' }), 412, 'a weak tag never matches strongly');
  t.equal(await status({ 'if-match': 'v2' }), 400);
  t.equal(await status({ 'if-none-match': '"v1"' }), 200);
  t.equal(await status({ 'if-none-match': 'W/"v2"' }), 304);
  t.equal(await status({ 'if-none-match': '*' }), 304);
  t.equal(await status({ 'if-none-match': 'nonsense' }), 200);
  t.equal((await app.inject('/thing')).headers['etag'], '"v2"');
});
