// Makes what is published, JavaScript and declarations, in dist/ or the directory named: `npm publish packages/client/dist`.
import { spawnSync } from 'node:child_process';
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const root = join(here, '..', '..');
const target = resolve(process.argv[2] ?? join(here, 'dist'));

rmSync(target, { recursive: true, force: true });
const tsc = join(root, 'node_modules', '.bin', 'tsc');
const compiled = spawnSync(tsc, ['-p', join(here, 'tsconfig.build.json'), '--outDir', target], { stdio: 'inherit' });
if (compiled.status !== 0) process.exit(1);

// Without the scripts and the sources: Node runs no TypeScript from node_modules.
const { scripts: _, exports: __, ...manifest } = JSON.parse(readFileSync(join(here, 'package.json'), 'utf8'));
const entry = { '.': { types: './index.d.ts', default: './index.js' } };
writeFileSync(join(target, 'package.json'), `${JSON.stringify({ ...manifest, exports: entry }, null, 2)}\n`);
cpSync(join(here, 'README.md'), join(target, 'README.md'));
cpSync(join(root, 'LICENSE'), join(target, 'LICENSE'));
