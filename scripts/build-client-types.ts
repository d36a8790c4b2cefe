// Writes packages/client/src/generated.ts from openapi.yaml; `--check` only compares and exits 1 when it is stale.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

const OPENAPI = new URL('../openapi.yaml', import.meta.url);
const TARGET = new URL('../packages/client/src/generated.ts', import.meta.url);

const HEADER = `// Made from openapi.yaml by \`node scripts/build-client-types.ts\`. Do not edit.
// biome-ignore-all format: generated
// biome-ignore-all lint: generated
`;

const TEXTS = ['application/jsonl', 'text/event-stream'];
const METHODS = ['get', 'post', 'put', 'patch', 'delete'];
/** Keywords that change the type. Any other keyword that is not in IGNORED stops the generator: a guess would be a wrong type. */
const TYPED = new Set('$ref type enum const anyOf properties required additionalProperties items'.split(' '));
const IGNORED = new Set(
  `description format pattern default minimum maximum exclusiveMinimum exclusiveMaximum minLength maxLength minItems maxItems
   uniqueItems minProperties maxProperties`.split(/\s+/),
);

type Json = Readonly<Record<string, unknown>>;

/** The text of generated.ts for an OpenAPI 3.1 document: a type per operation, and what the client must know at run time. */
export function clientTypes(yaml: string): string {
  const document = record(parse(yaml));
  const operations = Object.entries(record(document['paths'])).flatMap(([path, item]) =>
    METHODS.filter((method) => method in record(item)).map((method) =>
      describe(path, method, record(record(item)[method])),
    ),
  );
  const shared = Object.entries(record(record(document['components'])['schemas']));
  return `${HEADER}
${shared.map(([name, schema]) => `export type ${name} = ${typeOf(schema, '')};`).join('\n')}

export interface Operations {
${operations.map(({ type }) => type).join('\n')}
}

export const OPERATIONS = {
${operations.map(({ entry }) => entry).join('\n')}
} as const;
`;
}

function describe(path: string, method: string, operation: Json): { type: string; entry: string } {
  const id = text(operation['operationId']);
  const answers = Object.entries(record(operation['responses'])).filter(([status]) => /^[23]\d\d$/.test(status));
  const list = listOf(answers);
  const lines = [
    `  /** ${text(operation['summary'])}. \`${method.toUpperCase()} ${path}\` */`,
    `  ${id}: {`,
    `    input: ${inputOf(operation)};`,
    `    answer: ${answers.map(([status, answer]) => `{ status: ${status}; body: ${bodyOf(answer, '    ')} }`).join(' | ')};`,
    ...(list === undefined ? [] : [`    item: ${typeOf(list.items, '    ')};`]),
    '  };',
  ];
  const facts = {
    method: method.toUpperCase(),
    path,
    readOnly: method === 'get' || operation['x-read-only'] === true,
    answers: Object.fromEntries(
      answers.map(([status, answer]) => [status, textTypeOf(answer) ?? requiredOf(schemaOf(answer))]),
    ),
    ...(list === undefined ? {} : { list: list.member }),
  };
  return { type: lines.join('\n'), entry: `  ${id}: ${JSON.stringify(facts)},` };
}

/** Headers are not part of it: the client sets them itself. */
function inputOf(operation: Json): string {
  const parameters = array(operation['parameters'] ?? []).map(record);
  const group = (where: string) => {
    const own = parameters.filter((parameter) => parameter['in'] === where);
    if (own.length === 0) return [];
    const required = own.some((parameter) => parameter['required'] === true);
    const members = own.map((one) => member(text(one['name']), one['schema'], one['required'] === true, '      ', one));
    return [`${where === 'path' ? 'params' : where}${required ? '' : '?'}: {\n${members.join('\n')}\n    }`];
  };
  const body = operation['requestBody'] === undefined ? undefined : record(operation['requestBody']);
  const bodies =
    body === undefined ? [] : [`body${body['required'] === true ? '' : '?'}: ${typeOf(schemaOf(body), '    ')}`];
  const members = [...group('path'), ...group('query'), ...bodies];
  return members.length === 0 ? '{}' : `{ ${members.join('; ')} }`;
}

function bodyOf(answer: unknown, indent: string): string {
  if (textTypeOf(answer) !== undefined) return 'string';
  const schema = schemaOf(answer);
  return schema === undefined ? 'undefined' : typeOf(schema, indent);
}

/** The media type of content that is a text of lines; undefined for JSON and for none. */
function textTypeOf(answer: unknown): string | undefined {
  const content = record(answer)['content'];
  return content === undefined ? undefined : TEXTS.find((type) => type in record(content));
}

/** The schema of the JSON content; undefined when there is no content. */
function schemaOf(holder: unknown): unknown {
  const content = record(holder)['content'];
  return content === undefined ? undefined : record(record(content)['application/json'])['schema'];
}

/** Members that an answer always has: what a client can check before it trusts the type. Null when there is no body. */
function requiredOf(schema: unknown): readonly string[] | null {
  if (schema === undefined) return null;
  const { anyOf, required } = record(schema);
  if (anyOf === undefined) return array(required ?? []).map(text);
  const [first = [], ...others] = array(anyOf).map((one) => requiredOf(one) ?? []);
  return first.filter((name) => others.every((names) => names.includes(name)));
}

/** The member that holds the items, in an answer with `nextCursor`. */
function listOf(answers: readonly (readonly [string, unknown])[]) {
  if (textTypeOf(answers[0]?.[1] ?? {}) !== undefined) return undefined;
  const schema = schemaOf(answers[0]?.[1]);
  const properties = schema === undefined ? {} : record(record(schema)['properties'] ?? {});
  if (!('nextCursor' in properties)) return undefined;
  const lists = Object.entries(properties).filter(([, value]) => record(value)['type'] === 'array');
  const [list] = lists;
  if (list === undefined || lists.length > 1) throw new Error('a list with nextCursor needs exactly one array');
  return { member: list[0], items: record(list[1])['items'] };
}

function typeOf(schema: unknown, indent: string): string {
  const node = record(schema);
  const unknown = Object.keys(node).filter((key) => !TYPED.has(key) && !IGNORED.has(key));
  if (unknown.length > 0) throw new Error(`the generator does not know the keyword ${unknown.join(', ')}`);
  if ('$ref' in node) return text(node['$ref']).replace('#/components/schemas/', '');
  if ('const' in node) return JSON.stringify(node['const']);
  if ('enum' in node) return union(array(node['enum']).map((value) => JSON.stringify(value)));
  if ('anyOf' in node) return union(array(node['anyOf']).map((one) => typeOf(one, indent)));
  const { type } = node;
  if (Array.isArray(type)) return union(type.map((one) => typeOf({ ...node, type: one }, indent)));
  if (type === undefined) return 'unknown';
  if (type === 'array') return `readonly ${parenthesised(typeOf(node['items'] ?? {}, indent))}[]`;
  if (type === 'object') return objectType(node, indent);
  const simple = { string: 'string', integer: 'number', number: 'number', boolean: 'boolean', null: 'null' };
  const [, found] = Object.entries(simple).find(([name]) => name === type) ?? [];
  if (found === undefined) throw new Error(`the generator does not know the type ${String(type)}`);
  return found;
}

function objectType(node: Json, indent: string): string {
  const required = array(node['required'] ?? []);
  const properties = Object.entries(record(node['properties'] ?? {}));
  const extra = node['additionalProperties'];
  if (properties.length === 0) {
    const open = extra === true || extra === undefined;
    return `{ readonly [name: string]: ${open ? 'unknown' : extra === false ? 'never' : typeOf(extra, indent)} }`;
  }
  const inner = `${indent}  `;
  const members = properties.map(([name, value]) => member(name, value, required.includes(name), inner));
  // Members that are not described come after those that are, whose own type must hold for them.
  if (extra === true) members.push(`${inner}readonly [name: string]: unknown;`);
  return `{\n${members.join('\n')}\n${indent}}`;
}

function member(name: string, schema: unknown, required: boolean, indent: string, told: Json = record(schema)): string {
  const key = /^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name);
  const why = told['description'];
  const doc = typeof why === 'string' ? `${indent}/** ${why.replaceAll('*/', '* /')} */\n` : '';
  return `${doc}${indent}readonly ${key}${required ? '' : '?'}: ${typeOf(schema, indent)};`;
}

function union(parts: readonly string[]): string {
  return [...new Set(parts)].join(' | ');
}

function parenthesised(type: string): string {
  return type.includes(' | ') || type.startsWith('readonly ') ? `(${type})` : type;
}

function record(value: unknown): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('an object was expected');
  return Object.fromEntries(Object.entries(value));
}

function array(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw new Error('an array was expected');
  return value;
}

function text(value: unknown): string {
  if (typeof value !== 'string') throw new Error('a string was expected');
  return value;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const made = clientTypes(readFileSync(OPENAPI, 'utf8'));
  if (!process.argv.includes('--check')) writeFileSync(TARGET, made);
  else if (readFileSync(TARGET, 'utf8') !== made) {
    console.error('packages/client/src/generated.ts is stale: node scripts/build-client-types.ts');
    process.exitCode = 1;
  }
}
