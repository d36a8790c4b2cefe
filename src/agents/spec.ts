import { type TSchema, Type } from '@sinclair/typebox';
import { type TypeCheck, TypeCompiler } from '@sinclair/typebox/compiler';

import { CanonicalJsonError, canonicalBytes } from '../crypto/canonical-json.ts';
import { type Digest, sha256Digest } from '../crypto/digest.ts';
import { type FieldError, ValidationFailed } from '../http/problem.ts';
import { AgentError } from './errors.ts';
import { type AgentSpec, AgentSpecSchema } from './spec-schema.ts';

/** Bytes of the canonical form: bounds what a page of specs, a policy input and a proof have to carry. */
const MAX_SPEC_BYTES = 262_144;
const MAX_REPORTED_ERRORS = 32;

const checker = TypeCompiler.Compile(AgentSpecSchema);
const partialChecker = TypeCompiler.Compile(Type.Partial(AgentSpecSchema, { additionalProperties: false }));

/** Some members of a spec, as a template has them: each is what it would be in a spec. */
export type PartialSpec = Partial<AgentSpec>;

/** A spec in the forms it is kept in. `json` is the text of `bytes`. */
export interface StoredSpec {
  readonly bytes: Buffer;
  readonly json: string;
  readonly hash: Digest;
}

/** The value as a spec, unchanged; throws ValidationFailed with pointers below `pointer`. */
export function parseSpec(value: unknown, pointer = '/spec'): AgentSpec {
  if (!checker.Check(value)) throw new ValidationFailed(schemaErrors(checker, value, pointer));
  requireOneRuntime(value, pointer);
  return value;
}

/** As parseSpec, for a value that need not have all that a spec has. */
export function parsePartialSpec(value: unknown, pointer: string): PartialSpec {
  if (!partialChecker.Check(value)) throw new ValidationFailed(schemaErrors(partialChecker, value, pointer));
  requireOneRuntime(value, pointer);
  return value;
}

function requireOneRuntime({ runtime }: PartialSpec, pointer: string): void {
  if (runtime?.command === undefined || runtime.image === undefined) return;
  throw new ValidationFailed([{ pointer: `${pointer}/runtime`, detail: 'command and image exclude each other' }]);
}

/** The RFC 8785 bytes of the spec and their digest; throws AgentError SPEC_NOT_CANONICAL when it has none that fit. */
export function toStoredSpec(spec: PartialSpec): StoredSpec {
  const bytes = canonical(spec);
  if (bytes.length > MAX_SPEC_BYTES) {
    throw new AgentError('SPEC_NOT_CANONICAL', `the spec has ${bytes.length} bytes, more than ${MAX_SPEC_BYTES}`);
  }
  return { bytes, json: bytes.toString('utf8'), hash: sha256Digest(bytes) };
}

/** The spec in stored bytes; throws AgentError UNPROCESSABLE when they are not what the hash says, or no spec. */
export function readStoredSpec(bytes: Buffer, hash: string): AgentSpec {
  if (sha256Digest(bytes) !== hash) throw new AgentError('UNPROCESSABLE', 'the stored spec does not match its hash');
  const value: unknown = JSON.parse(bytes.toString('utf8'));
  if (!checker.Check(value)) throw new AgentError('UNPROCESSABLE', 'the stored spec is not valid');
  return value;
}

/** The replicas a stored spec asks for, else 1; throws AgentError UNPROCESSABLE when somebody made it ask for nonsense. */
export function replicasOf(spec: unknown): number {
  return specOf(spec).runtime?.replicas ?? 1;
}

/** A stored spec; throws AgentError UNPROCESSABLE when it is none. */
export function specOf(spec: unknown): AgentSpec {
  if (!isSpec(spec)) throw new AgentError('UNPROCESSABLE', 'the stored spec is not valid');
  return spec;
}

export function isSpec(spec: unknown): spec is AgentSpec {
  return checker.Check(spec);
}

/**
 * A name as search compares it: composed, in lower case by Unicode's rules, and without the final form of sigma, which
 * would hide a word inside a longer one.
 */
export function foldName(name: string): string {
  return name.normalize('NFC').toLowerCase().replaceAll('ς', 'σ');
}

function canonical(spec: PartialSpec): Buffer {
  try {
    return canonicalBytes(spec);
  } catch (error) {
    if (error instanceof CanonicalJsonError) throw new AgentError('SPEC_NOT_CANONICAL', error.message, error);
    throw error;
  }
}

function schemaErrors(schema: Pick<TypeCheck<TSchema>, 'Errors'>, value: unknown, pointer: string): FieldError[] {
  const errors: FieldError[] = [];
  for (const error of schema.Errors(value)) {
    errors.push({ pointer: `${pointer}${error.path.slice(0, 512)}`, detail: error.message });
    if (errors.length === MAX_REPORTED_ERRORS) break;
  }
  return errors;
}
