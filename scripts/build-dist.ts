// `npm run build`: what the image runs. JavaScript of src and migrations, and the policies beside them, in dist/ or
// in the directory given.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../', import.meta.url));
const dist = resolve(process.argv[2] ?? join(root, 'dist'));

// A file of an earlier build must not live on: every migration that is found is run.
await rm(dist, { recursive: true, force: true });
await emit();
for (const name of ['promotion.rego', 'data.json', 'dist']) {
  await cp(join(root, 'policies', name), join(dist, 'policies', name), { recursive: true });
}

async function emit(): Promise<void> {
  const compiler = fileURLToPath(import.meta.resolve('typescript/package.json'));
  const tsc = spawn(
    process.execPath,
    [join(compiler, '../bin/tsc'), '-p', join(root, 'tsconfig.build.json'), '--outDir', dist],
    { stdio: 'inherit' },
  );
  const [code] = await once(tsc, 'exit');
  if (code !== 0) throw new Error('the sources do not compile');
}
