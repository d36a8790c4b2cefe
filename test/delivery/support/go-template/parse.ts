/**
 * The part of Go's text/template that our chart uses: text with trim markers, comments, values, pipelines, variables, `if`,
 * `else if`, `with`, `range`, `define`. Anything else is an error here, although Helm may know it.
 */
export type Node =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'output'; readonly pipeline: Pipeline }
  | { readonly kind: 'set'; readonly name: string; readonly pipeline: Pipeline }
  | { readonly kind: 'if' | 'with'; readonly pipeline: Pipeline; readonly body: Node[]; readonly otherwise: Node[] }
  | { readonly kind: 'range'; readonly names: string[]; readonly pipeline: Pipeline; readonly body: Node[] }
  | { readonly kind: 'define'; readonly name: string; readonly body: Node[] };

/** Commands, each given the result of the one before as its last argument. */
export type Pipeline = readonly (readonly Operand[])[];

export type Operand =
  | { readonly kind: 'literal'; readonly value: string | number | boolean }
  | { readonly kind: 'field'; readonly from: string; readonly path: readonly string[] }
  | { readonly kind: 'function'; readonly name: string }
  | { readonly kind: 'group'; readonly pipeline: Pipeline };

type Part = { readonly text: string } | { readonly action: string };

const TOKEN = /\s*("(?:[^"\\]|\\.)*"|`[^`]*`|-?\d+(?:\.\d+)?|\$?[A-Za-z_]\w*|\$|(?:\.[A-Za-z_]\w*)+|[.()|,]|:=)/y;

export function parseTemplate(text: string, file: string): Node[] {
  const parts = partsOf(text);
  const open: { body: Node[]; turn?: () => Node[]; close?: () => void }[] = [{ body: [] }];
  const into = (): Node[] => {
    const body = open.at(-1)?.body;
    if (body === undefined) throw new Error(`${file}: one end too many`);
    return body;
  };
  for (const part of parts) {
    if ('text' in part) into().push({ kind: 'text', text: part.text });
    else action(part.action);
  }
  const [root, ...rest] = open;
  if (root === undefined || rest.length > 0) throw new Error(`${file}: an end is missing`);
  return root.body;

  function action(source: string): void {
    const [, word = '', rest = ''] = /^(if|with|range|define|else if|else|end)\b(.*)$/s.exec(source) ?? [];
    if (word === 'end') {
      if (open.length < 2) throw new Error(`${file}: one end too many`);
      open.pop();
    } else if (word === 'else' || word === 'else if') {
      const block = open.pop();
      if (block?.turn === undefined) throw new Error(`${file}: an else of nothing`);
      const otherwise = block.turn();
      if (word === 'else') open.push({ body: otherwise });
      else branch('if', rest, otherwise);
    } else if (word === 'if' || word === 'with') {
      branch(word, rest, into());
    } else if (word === 'range') {
      const [, names = '', from = rest] = /^\s*(\$\w+(?:\s*,\s*\$\w+)?)\s*:=(.*)$/s.exec(rest) ?? [];
      const body: Node[] = [];
      into().push({ kind: 'range', names: names.match(/\$\w+/g) ?? [], pipeline: pipelineOf(from, file), body });
      open.push({ body });
    } else if (word === 'define') {
      const body: Node[] = [];
      into().push({ kind: 'define', name: String(JSON.parse(rest.trim())), body });
      open.push({ body });
    } else {
      const [, name, from] = /^(\$\w+)\s*:=(.*)$/s.exec(source) ?? [];
      if (name !== undefined && from !== undefined)
        into().push({ kind: 'set', name, pipeline: pipelineOf(from, file) });
      else into().push({ kind: 'output', pipeline: pipelineOf(source, file) });
    }
  }

  function branch(kind: 'if' | 'with', source: string, to: Node[]): void {
    const [body, otherwise]: [Node[], Node[]] = [[], []];
    to.push({ kind, pipeline: pipelineOf(source, file), body, otherwise });
    open.push({ body, turn: () => otherwise });
  }
}

/** `{{-` takes the white space before it away, `-}}` that behind it. */
function partsOf(text: string): Part[] {
  const parts: Part[] = [];
  const pattern =
    /(\s*)\{\{(-(?=\s))?((?:"(?:[^"\\]|\\.)*"|`[^`]*`|\/\*[\s\S]*?\*\/|[^}"`]|\}(?!\}))*?)(?:(?<=\s)(-))?\}\}/g;
  let at = 0;
  let trim = false;
  for (const match of text.matchAll(pattern)) {
    const [whole, space = '', left, body = '', right] = match;
    const before = text.slice(at, match.index) + (left === undefined ? space : '');
    parts.push({ text: trim ? before.trimStart() : before });
    if (!body.trim().startsWith('/*')) parts.push({ action: body.trim() });
    at = match.index + whole.length;
    trim = right !== undefined;
  }
  const rest = text.slice(at);
  if (rest.includes('{{')) throw new Error(`not understood: ${rest.slice(rest.indexOf('{{'), 80)}`);
  return [...parts, { text: trim ? rest.trimStart() : rest }];
}

function pipelineOf(source: string, file: string): Pipeline {
  const tokens = tokensOf(source, file);
  const pipeline = commands(tokens);
  if (tokens.length > 0) throw new Error(`${file}: what is ${tokens[0]} in ${source}?`);
  return pipeline;

  function commands(left: string[]): Operand[][] {
    const all: Operand[][] = [[]];
    while (left.length > 0 && left[0] !== ')') {
      const token = left.shift() ?? '';
      if (token === '|') all.push([]);
      else if (token === '(') {
        all.at(-1)?.push({ kind: 'group', pipeline: commands(left) });
        if (left.shift() !== ')') throw new Error(`${file}: a bracket is open in ${source}`);
      } else all.at(-1)?.push(operand(token, left));
    }
    if (all.some((command) => command.length === 0)) throw new Error(`${file}: an empty command in ${source}`);
    return all;
  }

  function operand(token: string, left: string[]): Operand {
    if (token.startsWith('"')) return { kind: 'literal', value: String(JSON.parse(token)) };
    if (token.startsWith('`')) return { kind: 'literal', value: token.slice(1, -1) };
    if (/^-?\d/.test(token)) return { kind: 'literal', value: Number(token) };
    if (token === 'true' || token === 'false') return { kind: 'literal', value: token === 'true' };
    if (token.startsWith('.'))
      return { kind: 'field', from: '.', path: token.split('.').filter((name) => name !== '') };
    if (!token.startsWith('$')) return { kind: 'function', name: token };
    const path = left[0]?.startsWith('.') === true && left[0] !== '.' ? (left.shift() ?? '') : '';
    return { kind: 'field', from: token, path: path.split('.').filter((name) => name !== '') };
  }
}

function tokensOf(source: string, file: string): string[] {
  const tokens: string[] = [];
  TOKEN.lastIndex = 0;
  let end = 0;
  for (let match = TOKEN.exec(source); match !== null; match = TOKEN.exec(source)) {
    tokens.push(match[1] ?? '');
    end = TOKEN.lastIndex;
  }
  if (source.slice(end).trim() !== '') throw new Error(`${file}: what is ${source.slice(end)}?`);
  return tokens;
}
