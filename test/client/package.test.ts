import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';

import { exitWithin, start } from '../support/process.ts';
import { testService } from '../support/service.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const PACKAGE = join(ROOT, 'packages', 'client');
const manifest = JSON.parse(readFileSync(join(PACKAGE, 'package.json'), 'utf8'));
const sources = readdirSync(join(PACKAGE, 'src'));

// tap hooks itself into every Node below it, and the compiler does not run so: `env -i` loses the hook.
const run = (...command: readonly string[]) =>
  spawnSync('env', ['-i', `PATH=${process.env['PATH'] ?? ''}`, process.execPath, ...command], { encoding: 'utf8' });

/** A project beside the published form of the package. */
function project(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'castellan-test-package-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const modules = join(dir, 'node_modules');
  mkdirSync(join(modules, '@castellan'), { recursive: true });
  const built = run(join(PACKAGE, 'build.ts'), join(modules, '@castellan', 'client'));
  t.equal(built.status, 0, `${built.stdout}${built.stderr}`);
  symlinkSync(join(ROOT, 'node_modules', 'undici'), join(modules, 'undici'));
  return dir;
}

t.test('the package imports itself, Node and its one dependency, and nothing of the service', async (t) => {
  t.same(Object.keys(manifest.dependencies), ['undici']);
  for (const file of sources) {
    const text = readFileSync(join(PACKAGE, 'src', file), 'utf8');
    for (const [, specifier = ''] of text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)) {
      const own = specifier.startsWith('./') && sources.includes(specifier.slice(2));
      const given =
        specifier === 'undici' || (specifier.startsWith('node:') && builtinModules.includes(specifier.slice(5)));
      t.ok(own || given, `${file} imports ${specifier}`);
    }
    t.notMatch(text, /process\.env/, `${file} leaves the environment alone`);
  }
});

t.test('the example of the README runs against the service, on the package as it is published', async (t) => {
  const { service, certsDir, call } = await testService(t);
  const agent = readFileSync(join(ROOT, 'examples', 'agent.json'), 'utf8');
  const { body } = await call('operator', 'POST', '/v1/workspaces/demo/agents', agent);
  await call('operator', 'POST', `/v1/workspaces/demo/agents/${body.id}/start`);
  const [, example = ''] = /```js\n([\s\S]*?)```/.exec(readFileSync(join(PACKAGE, 'README.md'), 'utf8')) ?? [];
  t.equal(example.split('\n').filter((line) => line.trim() !== '').length, 10);
  const dir = project(t);
  symlinkSync(certsDir, join(dir, 'certs'));
  writeFileSync(join(dir, 'example.mjs'), example);
  const script = `process.chdir(${JSON.stringify(dir)}); await import(${JSON.stringify(join(dir, 'example.mjs'))});`;
  const running = start(t, ['--no-strip-types', '--input-type=module', '--eval', script], {
    EXTERNAL_ORCHESTRATOR_URL: service.apiUrl,
  });
  t.same(await exitWithin(running, 30_000), { code: 0, signal: null }, running.stderr());
  t.equal(running.stdout(), "1 [ 'running' ]\n");
});

t.test('the published declarations type a program', async (t) => {
  const dir = project(t);
  const program = `
    import { createClient, type OrchestratorRuntime, type Body } from '@castellan/client';
    const client = await createClient({ serverUrls: [] });
    const { body } = await client.request('getAgentStatus', { params: { workspaceId: 'demo', agentId: 'x' } });
    export const status: 'stopped' | 'starting' | 'running' | 'stopping' | 'failed' | 'quarantined' = body.status;
    export type Started = Body<'startAgent'>['success'];
    // @ts-expect-error the workspace is missing
    await client.request('getAgentStatus', { params: { agentId: 'x' } });
    // @ts-expect-error there is no such operation
    await client.request('startEverything');
    export const start = (runtime: OrchestratorRuntime) => runtime.startAgent('demo', 'x', { replicas: 1 });
  `;
  writeFileSync(join(dir, 'program.mts'), program);
  const options = [
    '--ignoreConfig',
    '--strict',
    '--noEmit',
    '--skipLibCheck',
    '--module',
    'nodenext',
    '--target',
    'es2024',
    '--types',
    'node',
  ];
  const typeRoots = ['--typeRoots', join(ROOT, 'node_modules', '@types')];
  const lib = ['--lib', 'es2024,esnext.disposable'];
  const tsc = join(ROOT, 'node_modules', '.bin', 'tsc');
  const checked = run(tsc, ...options, ...typeRoots, ...lib, join(dir, 'program.mts'));
  t.equal(checked.status, 0, checked.stdout);
});
