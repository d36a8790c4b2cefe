import type { FastifyInstance } from 'fastify';
import fastifyPlugin from 'fastify-plugin';
import { ValidationFailed } from './problem.ts';

/** Unknown members named in one answer, and characters of each. */
const MAX_REPORTED = 32;
const MAX_NAME = 128;

// Ajv's own coercion would also take '', '1e3' and ' 7'.
const INTEGER = /^-?(?:0|[1-9][0-9]{0,15})$/;

/**
 * Turns query strings into the integers, booleans and one-element lists their schema asks for, in an exact spelling only;
 * everything else stays a string and fails validation. Bodies are never coerced.
 */
export const queryTypesPlugin = fastifyPlugin(
  async (app: FastifyInstance) => {
    app.addHook('preValidation', async (request) => {
      const { querystring: schema, operationId } = request.routeOptions.schema ?? {};
      // Routes of libraries have no operation, and may have a query that only they know.
      if (schema === undefined && operationId !== undefined) requireNone(request.query);
      if (!isRecord(schema) || !isRecord(schema['properties']) || !isRecord(request.query)) return;
      for (const [name, wanted] of Object.entries(schema['properties'])) {
        if (!Object.hasOwn(request.query, name) || !isRecord(wanted)) continue;
        request.query[name] = convert(request.query[name], wanted);
      }
    });
  },
  { name: 'query-types', fastify: '5.x', dependencies: ['problem'] },
);

/** An operation without query members takes none: ignoring `?dryRun=true` would do what the caller meant to avoid. */
function requireNone(query: unknown): void {
  const names = isRecord(query) ? Object.keys(query).slice(0, MAX_REPORTED) : [];
  if (names.length === 0) return;
  throw new ValidationFailed(
    names.map((name) => ({
      pointer: `/query/${name.slice(0, MAX_NAME).replaceAll('~', '~0').replaceAll('/', '~1')}`,
      detail: 'must NOT have additional properties',
    })),
  );
}

function convert(value: unknown, schema: Record<string, unknown>): unknown {
  if (schema['type'] === 'array') {
    const items = isRecord(schema['items']) ? schema['items'] : {};
    return (Array.isArray(value) ? value : [value]).map((item: unknown) => convert(item, items));
  }
  if (typeof value !== 'string') return value;
  if (schema['type'] === 'integer' && INTEGER.test(value)) {
    const number = Number(value);
    // What a double rounds stays text, and fails validation.
    return Number.isSafeInteger(number) ? number : value;
  }
  if (schema['type'] === 'boolean' && (value === 'true' || value === 'false')) return value === 'true';
  return value;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
