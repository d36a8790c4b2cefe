import { type TSchema, Type } from '@sinclair/typebox';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import fastifyPlugin from 'fastify-plugin';
import { CodedError } from '../errors.ts';
import { RequestRefused } from './refusals.ts';
import { parseStrictJson } from './strict-json.ts';
import type { Violation } from './strict-json-scan.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Says that the handler answers for numbers that a double does not hold (`request.unsafeNumber`); else they are 400. */
    unsafeNumbers?: 'handler';
  }
  interface FastifyRequest {
    /** The first such number in the body; null when there is none. */
    unsafeNumber: Violation | null;
  }
}

/** A body in a media type this route does not read. */
class UnsupportedMediaType extends CodedError {
  readonly code = 'UNSUPPORTED_MEDIA_TYPE';
}

/**
 * The schema of a body that may be left out. An absent body is validated as `null`, so a route without this refuses one;
 * the handler reads `request.body ?? {}`.
 */
export function optionalBody<T extends TSchema>(schema: T) {
  return Type.Union([schema, Type.Null()]);
}

/** Reads JSON bodies with the strict reader, and nothing else: no text/plain, no forms. */
export const jsonBodyPlugin = fastifyPlugin(
  async (app: FastifyInstance) => {
    app.decorateRequest('unsafeNumber', null);
    app.removeAllContentTypeParsers();
    app.addContentTypeParser('application/json', { parseAs: 'buffer' }, async (request: FastifyRequest, body: Buffer) =>
      parseBody(request, body),
    );
    app.addContentTypeParser(
      'application/merge-patch+json',
      { parseAs: 'buffer' },
      async (request: FastifyRequest, body: Buffer) => {
        if (request.method !== 'PATCH') throw new UnsupportedMediaType('A merge patch is sent with PATCH.');
        return parseBody(request, body);
      },
    );
    // `curl -X POST -d ''` names a form and sends nothing: that is no body.
    app.addContentTypeParser('*', async (request: FastifyRequest) => {
      if (request.headers['content-length'] === '0') return undefined;
      throw new UnsupportedMediaType('Send application/json.');
    });
  },
  { name: 'json-body', fastify: '5.x', dependencies: ['problem'] },
);

function parseBody(request: FastifyRequest, body: Buffer): unknown {
  if (body.length === 0) return undefined;
  const coding = request.headers['content-encoding'];
  // We decode nothing, and a proxy that does would read another body than we (RFC 9110 §8.4: 415).
  if (coding !== undefined && coding !== 'identity') throw new UnsupportedMediaType('Send the body without a coding.');
  // Silently ignoring a body would let a caller believe that it was obeyed.
  if (!request.is404 && request.routeOptions.schema?.body === undefined) {
    throw new RequestRefused('This route takes no body.');
  }
  if (request.is404 || request.routeOptions.config.unsafeNumbers !== 'handler') return parseStrictJson(body);
  return parseStrictJson(body, {
    unsafeNumber: (violation) => {
      request.unsafeNumber = violation;
    },
  });
}
