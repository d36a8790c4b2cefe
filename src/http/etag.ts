import type { FastifyReply, FastifyRequest } from 'fastify';
import { CodedError } from '../errors.ts';
import { ValidationFailed } from './problem.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Condition headers that the handler honours; only described here. */
    conditions?: readonly ('if-match' | 'if-none-match')[];
  }
}

// RFC 9110 §8.8.3: etagc is %x21 / %x23-7E / obs-text; we make and take ASCII only.
const ETAG = /^(W\/)?"([\x21\x23-\x7e]*)"$/;
const LIST_ITEM = /\s*((?:W\/)?"[\x21\x23-\x7e]*")\s*(?:,|$)/y;
const MAX_ETAGS = 32;

/** The resource is no longer what the caller's If-Match says. */
class PreconditionFailed extends CodedError {
  readonly code = 'PRECONDITION_FAILED';
  constructor() {
    super('The resource has changed since it was read; read it again.');
  }
}

/** A strong entity tag around `value` (RFC 9110 §8.8.3), e.g. `"sha256:….3"`. */
export function strongEtag(value: string): string {
  const etag = `"${value}"`;
  if (!ETAG.test(etag)) throw new RangeError('not usable as an entity tag');
  return etag;
}

/**
 * Throws PreconditionFailed unless `If-Match` names `current` by strong comparison (RFC 9110 §13.1.1), ValidationFailed when
 * the header does not parse. No header is no condition; `*` matches whatever exists.
 */
export function requireIfMatch(request: FastifyRequest, current: string): void {
  const header = request.headers['if-match'];
  if (header === undefined) return;
  const tags = parseEtags(header);
  if (tags === undefined) {
    throw new ValidationFailed([{ pointer: '/headers/if-match', detail: 'must be *, or a list of entity tags' }]);
  }
  if (tags !== '*' && !tags.includes(current)) throw new PreconditionFailed();
}

/** Sets the ETag and answers true when `If-None-Match` already names it (weak comparison, §13.1.2): then send nothing. */
export function notModified(request: FastifyRequest, reply: FastifyReply, current: string): boolean {
  reply.header('etag', current).header('cache-control', 'private, no-cache');
  const header = request.headers['if-none-match'];
  const tags = header === undefined ? undefined : parseEtags(header);
  // A condition we cannot read is no condition: the full answer is always right.
  if (tags === undefined || (tags !== '*' && !tags.some((tag) => tag.replace(/^W\//, '') === current))) return false;
  reply.code(304);
  return true;
}

/** `'*'`, the listed tags, or undefined when the header is not a list of entity tags. */
export function parseEtags(header: string): '*' | readonly string[] | undefined {
  if (header.trim() === '*') return '*';
  const tags: string[] = [];
  const item = new RegExp(LIST_ITEM);
  while (item.lastIndex < header.length) {
    const match = item.exec(header);
    if (match?.[1] === undefined || tags.length === MAX_ETAGS) return undefined;
    tags.push(match[1]);
  }
  return tags.length === 0 || /,\s*$/.test(header) ? undefined : tags;
}
