import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const SRC = fileURLToPath(new URL('../../src', import.meta.url));

/** Lowest first (docs/architecture.md); a file imports values only from its own slice and from lower lines. */
const LAYERS = [
  ['errors', 'clock', 'ids', 'roles', 'logger', 'failpoints'],
  ['config'],
  ['crypto'],
  ['http', 'storage', 'metrics', 'certs', 'secrets', 'transparency'],
  ['identity'],
  ['limits'],
  ['idempotency'],
  ['signers'],
  ['audit'],
  ['trust', 'locks', 'break-glass', 'workspace-settings'],
  ['egress'],
  ['checkpoints', 'proofs', 'policy', 'manifests', 'decisions', 'runtime'],
  ['admission'],
  ['agents'],
  ['promotion'],
  ['revalidation', 'retention', 'workspaces', 'templates', 'kill-switch', 'supervisor', 'sandbox-runs'],
  ['spawn'],
  ['jobs'],
  ['app', 'ops', 'embedded'],
  ['background', 'readiness'],
  ['boot'],
  ['service', 'describe-api'],
  ['cli'],
  ['main'],
] as const;

interface Import {
  readonly from: string;
  readonly to: string;
  readonly typeOnly: boolean;
}

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
const imports = files.flatMap(importsOf);

t.test('values are imported in one direction', async (t) => {
  const wrong = imports.filter(
    ({ from, to, typeOnly }) => !typeOnly && sliceOf(from) !== sliceOf(to) && rank(to) >= rank(from),
  );
  t.same(
    wrong.map(({ from, to }) => `${from} imports ${to}`),
    [],
  );
});

t.test('every slice has its place', async (t) => {
  t.same(
    files.filter((file) => rank(file) === -1),
    [],
  );
});

t.test("no slice reads another slice's store", async (t) => {
  const wrong = imports.filter(({ from, to }) => to.endsWith('/store.ts') && sliceOf(from) !== sliceOf(to));
  t.same(
    wrong.map(({ from, to }) => `${from} imports ${to}`),
    [],
  );
});

/**
 * What the verifier shares all the same: the formats of others (C2SP notes, checkpoints and tiles, RFC 6962 hashes), pure
 * functions that are held to published vectors, where a second writing would only be a second chance to be wrong. The compact
 * ranges, which the writer keeps in its heads, are not among them: the verifier grows its trees by code of its own.
 */
const SHARED_WITH_VERIFIER = new Set(
  ['checkpoint', 'errors', 'merkle', 'note', 'note-key', 'tile-files', 'tile-path'].map(
    (name) => `transparency/${name}.ts`,
  ),
);

t.test('the verifier shares no code with the writer', async (t) => {
  const wrong = imports.filter(
    ({ from, to }) =>
      from.startsWith('audit/verify/') &&
      !to.startsWith('audit/verify/') &&
      to !== 'errors.ts' &&
      !SHARED_WITH_VERIFIER.has(to),
  );
  t.same(
    wrong.map(({ from, to }) => `${from} imports ${to}`),
    [],
  );
});

t.test('only the process reads the environment', async (t) => {
  const readers = files.filter((file) => readFileSync(join(SRC, file), 'utf8').includes('process.env'));
  t.same(readers, ['main.ts']);
});

function importsOf(file: string): Import[] {
  const text = readFileSync(join(SRC, file), 'utf8');
  return [...text.matchAll(/^(?:import|export)\s+(type\s)?[^;]*?from\s+'(\.[^']+)'/gms)].map((match) => ({
    from: file,
    to: relative(SRC, resolve(SRC, dirname(file), match[2] ?? '')),
    typeOnly: match[1] !== undefined,
  }));
}

function sliceOf(file: string): string {
  return (file.split('/')[0] ?? file).replace(/\.ts$/, '');
}

function rank(file: string): number {
  const found = LAYERS.findIndex((layer) => layer.some((name) => name === sliceOf(file)));
  // Outside src (package.json): below everything.
  return file.startsWith('..') ? -1 : found;
}
