import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';

import { createPeople, PeopleQuery, Person, PersonList, PersonParams } from './people.ts';
import { NoQuery } from './schema.ts';

const tags = ['access'];
const reads = { permission: 'access.read', audit: [], scope: 'global', allWorkspaces: true } as const;

/** Who is behind the ids of principals that came with tokens; erased with the actor, in the system chain. */
export const peopleRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const people = createPeople(app.storage);

  app.get(
    '/v1/people',
    {
      config: reads,
      schema: {
        operationId: 'listPeople',
        tags,
        summary: 'Who has come with a token so far, and under which principal id',
        querystring: PeopleQuery,
        response: { 200: PersonList },
      },
    },
    (request) => people.list(request.query),
  );

  app.get(
    '/v1/people/:principalId',
    {
      config: reads,
      schema: {
        operationId: 'getPerson',
        tags,
        summary: 'Who is behind the id of a principal that came with a token',
        params: PersonParams,
        querystring: NoQuery,
        response: { 200: Person },
      },
    },
    (request) => people.get(request.params.principalId),
  );
};
