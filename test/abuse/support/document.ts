import { readFileSync } from 'node:fs';
import { parse } from 'yaml';

const DOCUMENT = new URL('../../../openapi.yaml', import.meta.url);

/** The part of JSON Schema that openapi.yaml uses. The test of the generator fails for values that another keyword refuses. */
export interface Schema {
  readonly $ref?: string;
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Schema;
  readonly propertyNames?: Schema;
  readonly minProperties?: number;
  readonly maxProperties?: number;
  readonly items?: Schema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly uniqueItems?: boolean;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly pattern?: string;
  readonly format?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
}

export interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required?: boolean;
  readonly schema: Schema;
}

interface Content {
  readonly content?: Readonly<Record<string, { readonly schema: Schema }>>;
}

/** One operation, with all that openapi.yaml says of it. */
export interface Operation {
  readonly operationId: string;
  /** Upper case. */
  readonly method: string;
  /** With `{parameters}`. */
  readonly path: string;
  readonly permission: string;
  readonly events: readonly string[];
  readonly readOnly: boolean;
  readonly parameters: readonly Parameter[];
  readonly body?: Schema;
  readonly bodyRequired: boolean;
  /** By status; `undefined` for one without content. `default` is the problem document, everywhere. */
  readonly answers: ReadonlyMap<number, Schema | undefined>;
  /** Whether a good answer is JSONL. */
  readonly lines: boolean;
}

interface Declared {
  readonly operationId: string;
  readonly 'x-permission': string;
  readonly 'x-audit-events': readonly string[];
  readonly 'x-read-only'?: boolean;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: Content & { readonly required?: boolean };
  readonly responses: Readonly<Record<string, Content>>;
}

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Declared>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

const document: Document = parse(readFileSync(DOCUMENT, 'utf8'));

export const PROBLEM: Schema = component('Problem');

/** Every operation of openapi.yaml. */
export const OPERATIONS: readonly Operation[] = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, declared]) => describe(path, method, declared)),
);

/** A component by its name; throws when there is none. */
export function component(name: string): Schema {
  const found = document.components.schemas[name];
  if (found === undefined) throw new RangeError(`openapi.yaml has no schema ${name}`);
  return found;
}

/** The schema that a reference stands for. */
export function resolved(schema: Schema): Schema {
  return schema.$ref === undefined ? schema : component(schema.$ref.replace('#/components/schemas/', ''));
}

/** Says what it changes: a GET and a question by POST change nothing. */
export function changesState({ method, readOnly }: Operation): boolean {
  return method !== 'GET' && !readOnly;
}

function describe(path: string, method: string, declared: Declared): Operation {
  const body = declared.requestBody?.content?.['application/json']?.schema;
  const answers = Object.entries(declared.responses)
    .filter(([status]) => status !== 'default')
    .map(([status, { content }]) => [Number(status), content?.['application/json']?.schema] as const);
  return {
    operationId: declared.operationId,
    method: method.toUpperCase(),
    path,
    permission: declared['x-permission'],
    events: declared['x-audit-events'],
    readOnly: declared['x-read-only'] === true,
    parameters: declared.parameters ?? [],
    bodyRequired: declared.requestBody?.required === true,
    ...(body === undefined ? {} : { body }),
    answers: new Map(answers),
    lines: declared.responses['200']?.content?.['application/jsonl'] !== undefined,
  };
}
