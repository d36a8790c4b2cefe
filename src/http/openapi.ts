import swagger, { type SwaggerTransform } from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import { Type } from '@sinclair/typebox';
import type { FastifyInstance, FastifyPluginAsync } from 'fastify';
import fastifyPlugin from 'fastify-plugin';
import { stringify } from 'yaml';
import type {} from './etag.ts';
import { PROBLEM_MEDIA_TYPE, ProblemSchema } from './problem.ts';

/** Where the browsable documentation is; its routes are made by a library and exempt from the route contract. */
export const DOCS_PREFIX = '/docs';

type Json = Record<string, unknown>;

const PROBLEM_CONTENT = { [PROBLEM_MEDIA_TYPE]: { schema: { $ref: '#/components/schemas/Problem' } } };
const RETRY_AFTER = { 'Retry-After': { $ref: '#/components/headers/RetryAfter' } };
const REPLAYED = { 'Idempotent-Replayed': { $ref: '#/components/headers/IdempotentReplayed' } };

/** Describes every route registered after it, at `/openapi.json` and under `/docs`, for any accepted identity. */
export const openApiPlugin = fastifyPlugin(
  async (app: FastifyInstance, options: { readonly version: string }) => {
    await app.register(swagger, {
      openapi: {
        openapi: '3.1.0',
        info: {
          title: 'Castellan API',
          version: options.version,
          description: 'The external orchestrator that governs AI agents.',
          license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
        },
        servers: [{ url: 'https://127.0.0.1:8443' }],
      },
      transform: describeRoute,
      transformObject: (document) => ('openapiObject' in document ? finish(document.openapiObject) : {}),
      refResolver: {
        buildLocalReference: (json, _base, _fragment, index) =>
          typeof json['$id'] === 'string' ? json['$id'] : `def-${index}`,
      },
    });
    await app.register(docsRoutes);
    app.get(
      '/openapi.json',
      {
        config: { permission: 'authenticated', audit: [] },
        schema: {
          operationId: 'getOpenApi',
          tags: ['service'],
          summary: 'This description, as OpenAPI 3.1',
          querystring: Type.Object({}, { additionalProperties: false }),
          response: { 200: Type.Object({}, { additionalProperties: true }) },
        },
      },
      async () => app.swagger(),
    );
  },
  { name: 'openapi', fastify: '5.x', dependencies: ['route-contract'] },
);

/** The description as committed in openapi.yaml: the same routes give the same bytes. Only after ready. */
export function renderOpenApiYaml(app: FastifyInstance): string {
  const document: unknown = JSON.parse(JSON.stringify(app.swagger()));
  return stringify(document, { lineWidth: 0, aliasDuplicateObjects: false });
}

// The library's routes carry no config of their own; without a permission they would be refused.
const docsRoutes: FastifyPluginAsync = async (app) => {
  app.addHook('onRoute', (route) => {
    route.config = { ...route.config, permission: 'authenticated', audit: [] };
  });
  await app.register(swaggerUi, { routePrefix: DOCS_PREFIX, staticCSP: true, uiConfig: { validatorUrl: 'none' } });
};

/** Headers that mean the same on every route that honours them. */
const HEADERS = {
  'idempotency-key': Type.String({
    minLength: 1,
    maxLength: 255,
    pattern: '^[ -~]+$',
    description: 'Under one key the request is done once; its answer is kept for 24 hours',
  }),
  'if-match': Type.String({ description: 'Entity tags the resource may have now, or *' }),
  'if-none-match': Type.String({ description: 'Entity tags the caller has already, or *: then 304' }),
};

/** What a header adds to the answers of a route, by status. */
const ANSWERS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'idempotency-key': {
    409: 'The present state rules it out, or the same request is under way (IDEMPOTENCY_IN_FLIGHT)',
    422: 'The content cannot be used, or the key stands for another body (IDEMPOTENCY_KEY_REUSED)',
  },
  'if-match': { 412: 'The resource has changed since it was read (PRECONDITION_FAILED)' },
};

const describeRoute: SwaggerTransform = ({ schema, url, route }) => {
  const { permission, audit, readOnly, lane, conditions = [] } = route.config ?? {};
  const keyed = route.method === 'POST' && readOnly !== true;
  const names = [...(keyed ? (['idempotency-key'] as const) : []), ...conditions];
  const headers = Object.fromEntries(names.map((name) => [name, HEADERS[name]]));
  const described = {
    ...schema,
    ...(names.length === 0 ? {} : { headers: { type: 'object', properties: headers } }),
    'x-permission': permission,
    'x-audit-events': [...(audit ?? [])].sort(),
    ...(readOnly === true ? { 'x-read-only': true } : {}),
    ...(lane === 'brake' ? { 'x-lane': lane } : {}),
  };
  return { schema: described, url };
};

const SECURITY_SCHEMES = {
  mutualTLS: { type: 'mutualTLS' },
  bearer: {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
    description: 'A token of an issuer that the service is set up for',
  },
};

/** A certificate alone, a token over that of a gateway, or a token alone on the listener for humans. */
const WAYS_IN = [{ mutualTLS: [] }, { mutualTLS: [], bearer: [] }, { bearer: [] }];

/** Adds the shared problem answers and puts paths and components into a fixed order. */
function finish(document: object): Json {
  const copy = record(JSON.parse(JSON.stringify(document)));
  const components = record(copy['components']);
  const { $id: _, ...problem } = record(JSON.parse(JSON.stringify(ProblemSchema)));
  // OpenAPI 3.1 has this type of scheme; the plugin does not know it.
  components['securitySchemes'] = SECURITY_SCHEMES;
  components['schemas'] = sorted({ ...record(components['schemas']), Problem: problem });
  components['responses'] = {
    Problem: {
      description: 'An error, as RFC 9457 problem details',
      content: PROBLEM_CONTENT,
    },
    RateLimited: {
      description: 'The caller or the workspace sends too much; nothing was done, and the body was not read',
      headers: RETRY_AFTER,
      content: PROBLEM_CONTENT,
    },
    Unavailable: {
      description: 'The service is full, or something that the answer needs is away; nothing was changed',
      headers: RETRY_AFTER,
      content: PROBLEM_CONTENT,
    },
  };
  components['headers'] = {
    RetryAfter: {
      description: 'Seconds until it is worth asking again; spread, so that not all come back together',
      schema: { type: 'integer', minimum: 1 },
    },
    IdempotentReplayed: {
      description: 'true: this is the first answer under the Idempotency-Key again, and nothing was done',
      schema: { const: 'true' },
    },
  };
  const paths = sorted(record(copy['paths']));
  for (const operation of Object.values(paths).flatMap((path) => Object.values(record(path)))) {
    describeBody(record(operation));
    describeHeaders(record(operation));
    const responses = record(record(operation)['responses']);
    responses['429'] = { $ref: '#/components/responses/RateLimited' };
    responses['503'] = { $ref: '#/components/responses/Unavailable' };
    responses['default'] = { $ref: '#/components/responses/Problem' };
  }
  return { ...copy, security: WAYS_IN, paths, components };
}

/** The answers that come with the headers an operation honours. */
function describeHeaders(operation: Json): void {
  const responses = record(operation['responses']);
  const parameters = Array.isArray(operation['parameters']) ? operation['parameters'].map(record) : [];
  for (const name of parameters.filter((one) => one['in'] === 'header').map((one) => String(one['name']))) {
    for (const [status, description] of Object.entries(ANSWERS[name] ?? {})) {
      responses[status] = { description, content: PROBLEM_CONTENT };
    }
    if (name !== 'idempotency-key') continue;
    for (const [status, answer] of Object.entries(responses)) {
      if (status.startsWith('2')) record(answer)['headers'] = REPLAYED;
    }
  }
}

/** A body of type null is none, and one that may be null may be left out: so do client generators understand it. */
function describeBody(operation: Json): void {
  const body = record(operation['requestBody']);
  for (const media of Object.values(record(body['content'])).map(record)) {
    const schema = record(media['schema']);
    const choices = Array.isArray(schema['anyOf']) ? schema['anyOf'].map(record) : [schema];
    const [wanted, ...others] = choices.filter((choice) => choice['type'] !== 'null');
    if (wanted === undefined) delete operation['requestBody'];
    else if (others.length === 0 && choices.length === 2) {
      body['required'] = false;
      media['schema'] = wanted;
    }
  }
}

function sorted(value: Json): Json {
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function record(value: unknown): Json {
  return isRecord(value) ? value : {};
}

function isRecord(value: unknown): value is Json {
  return typeof value === 'object' && value !== null;
}
