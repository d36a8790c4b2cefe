import t from 'tap';
import { CodedError } from '../../src/errors.ts';
import { problemOf } from '../../src/http/problem.ts';
import { isProblemCode, PROBLEM_TABLE, problemType } from '../../src/http/problem-table.ts';
import { testAuthority } from '../certs/material.ts';
import { buildApp, NoQuery } from './fixture.ts';

class Broken extends CodedError {
  readonly code: string;
  constructor(code: string, members: Record<string, unknown> = {}) {
    super('a message of ours', { members });
    this.code = code;
  }
}

const material = await testAuthority();

async function appThatThrows(thrown: unknown) {
  const app = await buildApp({
    ...material,
    routes: (instance) => {
      instance.get(
        '/throws',
        {
          config: { permission: 'authenticated', audit: [] },
          schema: {
            operationId: 'throws',
            tags: ['test'],
            summary: 'throws',
            querystring: NoQuery,
            response: { 200: {}, '4xx': { type: 'object', properties: {} } },
          },
        },
        async () => {
          throw thrown;
        },
      );
    },
  });
  t.teardown(() => app.close());
  return app;
}

t.test('every row is an error status with a type of its own', async (t) => {
  const codes = Object.keys(PROBLEM_TABLE).filter(isProblemCode);
  t.equal(new Set(codes.map(problemType)).size, codes.length);
  for (const code of codes) t.ok(PROBLEM_TABLE[code].status >= 400 && PROBLEM_TABLE[code].status < 600, code);
  t.notOk(isProblemCode('toString'));
});

t.test('a coded error keeps its members, whatever the response schema knows', async (t) => {
  const denies = [{ code: 'PROOF_MISSING', reason: 'no proof', severity: 'DENY', check: 'proofPresence' }];
  const app = await appThatThrows(new Broken('ADMISSION_DENIED', { denies, decisionId: 'd', status: 200, code: 'OK' }));
  const answer = await app.inject({ url: '/throws', headers: { 'x-request-id': 'abc' } });
  t.equal(answer.statusCode, 403);
  t.equal(answer.headers['content-type'], 'application/problem+json');
  t.same(answer.json(), {
    type: 'https://castellan.dev/problems/admission-denied',
    title: 'Admission denied the start',
    status: 403,
    detail: 'a message of ours',
    denies,
    decisionId: 'd',
    instance: 'abc',
    code: 'ADMISSION_DENIED',
  });
});

t.test('an unknown error says nothing about itself', async (t) => {
  const secrets = [
    new Error('password=hunter2'),
    new Broken('NO_SUCH_CODE'),
    Object.assign(new Error('hunter2'), { code: 'X' }),
    'hunter2',
    null,
  ];
  for (const thrown of secrets) {
    const app = await appThatThrows(thrown);
    const answer = await app.inject('/throws');
    t.equal(answer.statusCode, 500);
    t.equal(answer.json().code, 'INTERNAL');
    t.notMatch(answer.body, /hunter2|a message of ours|NO_SUCH_CODE/);
  }
});

t.test('503 and 429 say when to come back', async (t) => {
  for (const code of ['DATABASE_UNAVAILABLE', 'RATE_LIMITED']) {
    const app = await appThatThrows(new Broken(code));
    const answer = await app.inject('/throws');
    t.equal(answer.headers['retry-after'], '2');
  }
});

t.test('one 404 for all', async (t) => {
  const app = await appThatThrows(new Broken('NOT_FOUND'));
  const bodies = await Promise.all(
    ['/throws', '/no/such/route'].map(
      async (url) => (await app.inject({ url, headers: { 'x-request-id': 'r' } })).body,
    ),
  );
  t.equal(bodies[0], bodies[1]);
});

t.test('a handler past its time answers 503', async (t) => {
  const app = await buildApp({
    ...material,
    routes: (instance) => {
      instance.get(
        '/slow',
        {
          handlerTimeout: 50,
          config: { permission: 'authenticated', audit: [] },
          schema: { operationId: 'slow', tags: ['t'], summary: 's', querystring: NoQuery, response: { 200: {} } },
        },
        (request) => new Promise((resolve) => request.signal.addEventListener('abort', () => setTimeout(resolve, 50))),
      );
    },
  });
  t.teardown(() => app.close());
  const answer = await app.inject('/slow');
  t.equal(answer.statusCode, 503);
  t.equal(answer.json().code, 'HANDLER_TIMEOUT');
});

t.test('an error of another realm is internal', async (t) => {
  t.equal(problemOf({ code: 'NOT_FOUND', message: 'not ours' }, 'r').code, 'INTERNAL');
});
