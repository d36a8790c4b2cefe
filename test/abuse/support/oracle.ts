import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';

import { isProblemCode, PROBLEM_TABLE, problemType } from '../../../src/http/problem-table.ts';
import { parseStrictJson } from '../../../src/http/strict-json.ts';
import type { Answer } from './client.ts';
import { type Operation, PROBLEM, type Schema } from './document.ts';

const JSON_TYPE = /^application\/json(; charset=utf-8)?$/;
const PROBLEM_TYPE = /^application\/problem\+json$/;
/** What belongs to the inside: paths of the code, stacks, SQL, the database's own words. */
const INSIDE = /node_modules|\/src\/|\bat [A-Za-z.]+ \(|\.ts:\d|SELECT |INSERT |relation "|violates|syntax error at/;

// Types beside `enum` and open schemas are how the description is made; an unknown keyword or format is still an error.
const ajv = new Ajv2020({ strict: true, strictTypes: false, strictRequired: false, allErrors: false });
formats.default(ajv);
const validators = new WeakMap<Schema, ValidateFunction>();

/** The first thing in which the value is not what the schema says. */
export function mismatch(schema: Schema, value: unknown): string | undefined {
  const validate = validators.get(schema) ?? ajv.compile(schema);
  validators.set(schema, validate);
  return validate(value) ? undefined : ajv.errorsText(validate.errors);
}

/** Whether these bytes are a body of the operation, as it is documented. */
export function isTaken({ body, bodyRequired }: Operation, bytes: Buffer): boolean {
  if (bytes.length === 0) return !bodyRequired;
  try {
    const value = parseStrictJson(bytes);
    return body !== undefined && mismatch(body, value) === undefined;
  } catch {
    return false;
  }
}

/** Everything in which an answer breaks the description of its operation, or what holds of every answer. */
export function complaints(operation: Operation, answer: Answer): string[] {
  const said = answer.status >= 400 ? problemComplaints(answer) : successComplaints(operation, answer);
  if (answer.headers['x-request-id'] === undefined) said.push('no x-request-id');
  if (answer.headers['x-content-type-options'] !== 'nosniff') said.push('no x-content-type-options');
  return said;
}

/** What holds of every error, wherever it comes from. */
export function problemComplaints({ status, headers, text }: Answer): string[] {
  const said: string[] = [];
  if (status >= 500) said.push(`status ${status}`);
  if (!PROBLEM_TYPE.test(headers['content-type'] ?? '')) said.push(`content type ${headers['content-type']}`);
  if (INSIDE.test(text)) said.push('shows the inside');
  const body = parsed(text);
  const wrong = mismatch(PROBLEM, body);
  if (wrong !== undefined) return [...said, `no problem document: ${wrong}`];
  const { code, type, status: told, instance } = Object(body);
  if (!isProblemCode(code)) return [...said, `unknown code ${code}`];
  if (PROBLEM_TABLE[code].status !== status || told !== status)
    said.push(`${code} with status ${status}, told ${told}`);
  if (type !== problemType(code)) said.push(`type ${type}`);
  // The first answer again names the first request.
  const replayed = headers['idempotent-replayed'] === 'true';
  if (!replayed && instance !== headers['x-request-id']) said.push(`instance ${instance}`);
  if ((status === 429 || status === 503) && headers['retry-after'] === undefined) said.push('no Retry-After');
  return said;
}

function successComplaints({ answers, lines }: Operation, { status, headers, text }: Answer): string[] {
  if (!answers.has(status)) return [`undocumented status ${status}`];
  if (lines) return lineComplaints(headers['content-type'], text);
  const schema = answers.get(status);
  if (schema === undefined) return text === '' ? [] : ['content where none is documented'];
  if (!JSON_TYPE.test(headers['content-type'] ?? '')) return [`content type ${headers['content-type']}`];
  const wrong = mismatch(schema, parsed(text));
  return wrong === undefined ? [] : [`not as documented: ${wrong}`];
}

function lineComplaints(type: string | undefined, text: string): string[] {
  const said = type === 'application/jsonl' ? [] : [`content type ${type}`];
  if (text === '') return said;
  const lines = text.split('\n');
  if (lines.pop() !== '') said.push('the last line has no end');
  if (lines.some((line) => parsed(line) === undefined)) said.push('a line is no JSON');
  return said;
}

/** The code of a problem; empty for anything else. */
export function codeOf({ status, text }: Answer): string {
  return status < 400 ? '' : String(Object(parsed(text)).code ?? '');
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
