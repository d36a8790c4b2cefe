import swagger, { type SwaggerTransform } from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import { Type } from '@sinclair/typebox';
import type { FastifyInstance, FastifyPluginAsync } from 'fastify';
import fastifyPlugin from 'fastify-plugin';
import { stringify } from 'yaml';
import { PROBLEM_MEDIA_TYPE, ProblemSchema } from './problem.ts';

/** Where the browsable documentation is; its routes are made by a library and exempt from the route contract. */
export const DOCS_PREFIX = '/docs';

type Json = Record<string, unknown>;

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
      transform: describePermission,
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

const describePermission: SwaggerTransform = ({ schema, url, route }) => {
  const { permission, audit, readOnly } = route.config ?? {};
  const described = {
    ...schema,
    'x-permission': permission,
    'x-audit-events': [...(audit ?? [])].sort(),
    ...(readOnly === true ? { 'x-read-only': true } : {}),
  };
  return { schema: described, url };
};

/** Adds the shared problem answer and puts paths and components into a fixed order. */
function finish(document: object): Json {
  const copy = record(JSON.parse(JSON.stringify(document)));
  const components = record(copy['components']);
  const { $id: _, ...problem } = record(JSON.parse(JSON.stringify(ProblemSchema)));
  // OpenAPI 3.1 has this type of scheme; the plugin does not know it.
  components['securitySchemes'] = { mutualTLS: { type: 'mutualTLS' } };
  components['schemas'] = sorted({ ...record(components['schemas']), Problem: problem });
  components['responses'] = {
    Problem: {
      description: 'An error, as RFC 9457 problem details',
      content: { [PROBLEM_MEDIA_TYPE]: { schema: { $ref: '#/components/schemas/Problem' } } },
    },
  };
  const paths = sorted(record(copy['paths']));
  for (const operation of Object.values(paths).flatMap((path) => Object.values(record(path)))) {
    describeBody(record(operation));
    const responses = record(record(operation)['responses']);
    responses['default'] = { $ref: '#/components/responses/Problem' };
  }
  return { ...copy, security: [{ mutualTLS: [] }], paths, components };
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
