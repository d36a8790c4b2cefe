import { isUtf8 } from 'node:buffer';
import { CodedError } from '../errors.ts';
import { findViolation, type Violation } from './strict-json-scan.ts';

const MAX_DEPTH = 64;
const BYTE_ORDER_MARK = 0xfeff;

/** A body is not JSON, or is JSON that two readers could understand differently. */
export class StrictJsonError extends CodedError {
  readonly code = 'MALFORMED_JSON';
  /** RFC 6901, of the offending value; '' is the document. */
  readonly pointer: string;
  readonly detail: string;

  constructor(detail: string, pointer = '') {
    super(pointer === '' ? detail : `${pointer}: ${detail}`, { members: { errors: [{ pointer, detail }] } });
    this.pointer = pointer;
    this.detail = detail;
  }
}

interface StrictJsonOptions {
  readonly maxDepth?: number;
  readonly unsafeNumber?: (violation: Violation) => void;
}

/**
 * The value of a JSON text in UTF-8 for bodies that are signed or that govern. Beyond the grammar it refuses, with
 * StrictJsonError, what I-JSON (RFC 7493) forbids and what a later reader could take differently: a BOM, duplicate
 * and `__proto__` members, lone surrogates, U+0000, −0, numbers that a double does not hold, nesting over `maxDepth`.
 * With `unsafeNumber` such numbers are no error: it is told of the first, and the value has what JSON.parse makes of them.
 */
export function parseStrictJson(bytes: Buffer, options: StrictJsonOptions = {}): unknown {
  if (!isUtf8(bytes)) throw new StrictJsonError('not valid UTF-8');
  return parseStrictJsonText(bytes.toString('utf8'), options);
}

/** As parseStrictJson, for text that is already decoded. */
export function parseStrictJsonText(
  text: string,
  { maxDepth = MAX_DEPTH, unsafeNumber }: StrictJsonOptions = {},
): unknown {
  if (text.length === 0) throw new StrictJsonError('the body is empty');
  if (text.charCodeAt(0) === BYTE_ORDER_MARK) throw new StrictJsonError('starts with a byte order mark');
  if (!text.isWellFormed()) throw new StrictJsonError('contains a lone surrogate');
  const value = parseJson(text);
  const violation = findViolation(text, maxDepth, unsafeNumber);
  if (violation !== undefined) throw new StrictJsonError(violation.detail, violation.pointer);
  return value;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    // The engine's message quotes the body, which may hold a secret: only the position is passed on.
    const position = error instanceof Error ? /at position (\d+)/.exec(error.message)?.[1] : undefined;
    throw new StrictJsonError(position === undefined ? 'not valid JSON' : `not valid JSON at position ${position}`);
  }
}
