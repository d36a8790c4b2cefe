import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { parse } from 'yaml';

import { type Node, parseTemplate } from './go-template/parse.ts';
import { render } from './go-template/render.ts';
import { documents, isMap, type Manifest, type Value } from './kustomize.ts';

export const CHART = new URL('../../../deploy/helm/castellan/', import.meta.url).pathname;
const read = (name: string): string => readFileSync(join(CHART, name), 'utf8');

export interface Release {
  readonly namespace?: string;
  /** Over values.yaml. */
  readonly values?: Manifest;
}

/** What is wrong with values, by values.schema.json: as Helm says it before it renders. */
export function valueProblems(values: Manifest): string[] {
  const ajv = new Ajv({ allErrors: true, strict: true, strictRequired: false, strictTypes: false });
  const validate = ajv.compile(JSON.parse(read('values.schema.json')));
  validate(overlaid(chartValues(), values));
  return (validate.errors ?? []).map(({ instancePath, message, params }) => {
    const what = 'additionalProperty' in params ? ` ${params['additionalProperty']}` : '';
    return `${instancePath} ${message}${what}`;
  });
}

/** The objects of a release. Rendered by a small reader of templates of our own (go-template), not by Helm. */
export function helmObjects(release: Release = {}): Manifest[] {
  return [...helmTexts(release)].flatMap(([name, text]) => (name.endsWith('.yaml') ? documents(text) : []));
}

/** The text of each template by its name, `NOTES.txt` too. */
export function helmTexts({ namespace = 'castellan', values = {} }: Release = {}): Map<string, string> {
  const problems = valueProblems(values);
  if (problems.length > 0) throw new Error(problems.join('; '));
  const chart: Manifest = parse(read('Chart.yaml'));
  const data = {
    Values: overlaid(chartValues(), values),
    Release: { Name: 'castellan', Namespace: namespace },
    Chart: { Name: chart['name'] ?? null, Version: chart['version'] ?? null, AppVersion: chart['appVersion'] ?? null },
  };
  const files = readdirSync(join(CHART, 'templates')).map(
    (name) => [name, parseTemplate(read(join('templates', name)), name)] as const,
  );
  const defined = new Map(
    files.flatMap(([, nodes]) =>
      nodes.flatMap((node): [string, readonly Node[]][] => (node.kind === 'define' ? [[node.name, node.body]] : [])),
    ),
  );
  return new Map(
    files.filter(([name]) => !name.startsWith('_')).map(([name, nodes]) => [name, render(nodes, data, { defined })]),
  );
}

function chartValues(): Manifest {
  return parse(read('values.yaml'));
}

/** As Helm merges values: maps member by member, the rest is replaced, null takes away. */
function overlaid(base: Manifest, over: Manifest): Manifest {
  const names = new Set([...Object.keys(base), ...Object.keys(over)]);
  const entries = [...names].flatMap((name): [string, Value][] => {
    const [a, b] = [base[name], over[name]];
    if (b === null) return [];
    const value = isMap(a) && isMap(b) ? overlaid(a, b) : (b ?? a);
    return value === undefined ? [] : [[name, value]];
  });
  return Object.fromEntries(entries);
}
