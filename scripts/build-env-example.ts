// Writes .env.example from the table of settings; a test fails when it is stale.
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { SETTINGS, type Setting } from '../src/config/settings.ts';

const HEADER = `# Every setting of Castellan, made from src/config/settings.ts by \`node scripts/build-env-example.ts\`.
# A line that is not a comment shows a default. A secret NAME may be given as NAME_FILE, the path of a file with it.
# A variable that begins with CASTELLAN_ and is not listed here is an error.
`;

/** The text of .env.example: each setting with what it is for, its values and its default. */
export function envExample(): string {
  const settings: readonly (readonly [string, Setting])[] = Object.entries(SETTINGS);
  return `${HEADER}\n${settings.map(([name, setting]) => entry(name, setting)).join('\n')}`;
}

function entry(name: string, setting: Setting): string {
  const notes = [setting.doc, range(setting), setting.secret === true ? `Secret: also ${name}_FILE.` : ''];
  const line = setting.default === undefined ? `# ${name}=` : `${name}=${setting.default}`;
  return `# ${notes.filter((note) => note !== '').join(' ')}\n${line}\n`;
}

function range({ kind, oneOf, min, max }: Setting): string {
  if (oneOf !== undefined) return `(${oneOf.join(' | ')})`;
  if (kind === 'boolean') return '(true | false)';
  return kind === 'integer' ? `(${min ?? 0} to ${max ?? 'any'})` : '';
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(new URL('../.env.example', import.meta.url), envExample());
}
