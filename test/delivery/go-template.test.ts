import t from 'tap';

import { parseTemplate } from './support/go-template/parse.ts';
import { render } from './support/go-template/render.ts';

const data = { Values: { name: 'a', none: '', on: true, off: false, list: ['x', 'y'], map: { b: 2, a: 1 } } };

function rendered(text: string): string {
  const nodes = parseTemplate(text, 'test');
  const defined = new Map(
    nodes.flatMap((node): [string, typeof nodes][] => (node.kind === 'define' ? [[node.name, node.body]] : [])),
  );
  return render(nodes, data, { defined });
}

/** What Go's text/template with Helm's functions makes of it. */
const CASES: readonly (readonly [template: string, text: string])[] = [
  ['a {{ .Values.name }} b', 'a a b'],
  ['a\n{{- /* trims before */ -}}\n  b', 'ab'],
  ['a {{- " - " -}} b', 'a - b'],
  ['{{ if .Values.on }}1{{ else }}2{{ end }}', '1'],
  ['{{ if .Values.off }}1{{ else if .Values.none }}2{{ else }}3{{ end }}', '3'],
  ['{{ with .Values.map }}{{ .a }}{{ $.Values.name }}{{ end }}', '1a'],
  ['{{ with .Values.none }}1{{ else }}2{{ end }}', '2'],
  ['{{ range $k, $v := .Values.map }}{{ $k }}={{ $v }};{{ end }}', 'a=1;b=2;'],
  ['{{ range .Values.list }}[{{ . | quote }}]{{ end }}', '["x"]["y"]'],
  ['{{ $n := .Values.name | default "z" }}{{ $n }}{{ .Values.none | default "z" }}', 'az'],
  ['{{ define "t" }}<{{ .name }}>{{ end }}{{ include "t" .Values | nindent 2 }}', '\n  <a>'],
  ['{{ toYaml .Values.list }}', '- x\n- y'],
  ['{{ printf "%s:%v" .Values.name 3 | quote }}', '"a:3"'],
  ['{{ if and .Values.on (not .Values.off) (eq .Values.name "a") }}1{{ end }}', '1'],
  ['{{ if or .Values.off .Values.none }}1{{ end }}', ''],
];

t.test('what our chart uses of templates', async (t) => {
  for (const [template, text] of CASES) t.equal(rendered(template), text, template);
});

t.test('what is not known, or not there, is an error', async (t) => {
  for (const [template, says] of [
    ['{{ .Values.nothing }}', /no \.nothing/],
    ['{{ .Values.map }}', /printing/],
    ['{{ lookup "v1" }}', /no function lookup/],
    ['{{ include "x" . }}', /no template x/],
    ['{{ $x }}', /no variable/],
    ['{{ if true }}', /an end is missing/],
    ['{{ end }}', /one end too many/],
    ['{{ else }}', /one end too many|an else of nothing/],
    ['{{ .Values.name', /not understood/],
    ['{{ required "say it" .Values.none }}', /say it/],
    ['{{ block "x" . }}{{ end }}', /one end too many/],
  ] as const) {
    t.throws(() => rendered(template), { message: says }, template);
  }
});
