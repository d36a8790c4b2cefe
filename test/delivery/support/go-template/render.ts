import { stringify } from 'yaml';

import { isMap, type Manifest, type Value } from '../kustomize.ts';
import type { Node, Operand, Pipeline } from './parse.ts';

/** A template with what it may include. */
export interface Templates {
  readonly defined: ReadonlyMap<string, readonly Node[]>;
}

type Result = Value | undefined;
type Variables = ReadonlyMap<string, Result>;

/**
 * Text of a template. Stricter than Go: a member that is not there is an error, and so is printing what is no text, number
 * or boolean. The functions are those of Helm that our chart uses.
 */
export function render(nodes: readonly Node[], data: Manifest, templates: Templates): string {
  return block(nodes, data, new Map([['$', data]]));

  function block(body: readonly Node[], dot: Result, outer: Variables): string {
    const variables = new Map(outer);
    return body.map((node) => one(node, dot, variables)).join('');
  }

  function one(node: Node, dot: Result, variables: Map<string, Result>): string {
    switch (node.kind) {
      case 'text':
        return node.text;
      case 'output':
        return printed(value(node.pipeline, dot, variables));
      case 'set':
        variables.set(node.name, value(node.pipeline, dot, variables));
        return '';
      case 'if':
      case 'with': {
        const found = value(node.pipeline, dot, variables);
        if (!isTrue(found)) return block(node.otherwise, dot, variables);
        return block(node.body, node.kind === 'with' ? found : dot, variables);
      }
      case 'range':
        return entries(value(node.pipeline, dot, variables))
          .map(([key, item]) => {
            const names = node.names.length === 1 ? [item] : [key, item];
            return block(
              node.body,
              item,
              new Map([...variables, ...node.names.map((name, at) => [name, names[at]] as const)]),
            );
          })
          .join('');
      case 'define':
        return '';
    }
  }

  function value(pipeline: Pipeline, dot: Result, variables: Variables): Result {
    return pipeline.reduce<readonly Result[]>((before, command) => [run(command, before, dot, variables)], [])[0];
  }

  function run(command: readonly Operand[], before: readonly Result[], dot: Result, variables: Variables): Result {
    const [first, ...rest] = command;
    if (first === undefined) throw new Error('an empty command');
    const given = [...rest.map((operand) => resolved(operand, dot, variables)), ...before];
    if (first.kind !== 'function') {
      if (given.length > 0) throw new Error('only a function takes arguments');
      return resolved(first, dot, variables);
    }
    if (first.name === 'include') return include(given);
    const known = FUNCTIONS[first.name];
    if (known === undefined) throw new Error(`no function ${first.name}`);
    return known(...given);
  }

  function resolved(operand: Operand, dot: Result, variables: Variables): Result {
    switch (operand.kind) {
      case 'literal':
        return operand.value;
      case 'group':
        return value(operand.pipeline, dot, variables);
      case 'function':
        return run([operand], [], dot, variables);
      case 'field': {
        if (operand.from !== '.' && !variables.has(operand.from)) throw new Error(`no variable ${operand.from}`);
        const from = operand.from === '.' ? dot : variables.get(operand.from);
        return operand.path.reduce<Result>((at, name) => memberOf(at, name), from);
      }
    }
  }

  function include([name, argument]: readonly Result[]): string {
    const body = templates.defined.get(String(name));
    if (body === undefined) throw new Error(`no template ${name}`);
    return block(body, argument, new Map([['$', argument]]));
  }
}

const FUNCTIONS: Readonly<Record<string, (...values: Result[]) => Result>> = {
  default: (otherwise, value) => (isTrue(value) ? value : otherwise),
  eq: (a, ...others) => others.some((one) => one === a),
  not: (value) => !isTrue(value),
  and: (...values) => values.find((value) => !isTrue(value)) ?? values.at(-1),
  or: (...values) => values.find(isTrue) ?? values.at(-1),
  quote: (value) => JSON.stringify(printed(value)),
  printf: (format, ...values) =>
    values.reduce<string>((text, value) => text.replace(/%[sv]/, () => printed(value)), printed(format)),
  toYaml: (value) => stringify(value).trimEnd(),
  nindent: (by, text) => `\n${indented(by, text)}`,
  indent: indented,
  required(says, value) {
    if (value === undefined || value === null || value === '') throw new Error(printed(says));
    return value;
  },
  fail(says) {
    throw new Error(printed(says));
  },
};

function indented(by: Result, text: Result): string {
  return printed(text).replace(/^/gm, ' '.repeat(Number(by)));
}

/** Go's: false, 0, nothing, and what is empty are not. */
function isTrue(value: Result): boolean {
  if (Array.isArray(value)) return value.length > 0;
  return isMap(value) ? Object.keys(value).length > 0 : Boolean(value);
}

/** Maps in the order of their names, as Go has them. */
function entries(value: Result): [Value, Value][] {
  if (Array.isArray(value)) return value.map((item: Value, at): [Value, Value] => [at, item]);
  if (!isMap(value)) throw new Error('range over what is no list and no map');
  return Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
}

function memberOf(value: Result, name: string): Result {
  if (!isMap(value) || !Object.hasOwn(value, name)) throw new Error(`there is no .${name}`);
  return value[name];
}

function printed(value: Result): string {
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return String(value);
  throw new Error(`printing ${JSON.stringify(value)}`);
}
