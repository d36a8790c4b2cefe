// Writes the hot reload bodies of the walk from the shipped policy; a test fails when they are stale.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = new URL('../', import.meta.url);

/** The shipped policy with another monthly limit: the agent of the walk (100 USD) meets the first and not the second. */
export const EXAMPLES = {
  'examples/policy-relaxed.json': hotReload('The organisation raised its limit.', 2000),
  'examples/policy-strict.json': hotReload('The organisation lowered its limit.', 50),
} as const;

function hotReload(reason: string, monthlyUsd: number): string {
  const data: unknown = JSON.parse(readFileSync(new URL('policies/data.json', root), 'utf8'));
  if (typeof data !== 'object' || data === null || !('castellan' in data))
    throw new Error('policies/data.json changed');
  const module = readFileSync(new URL('policies/promotion.rego', root), 'utf8');
  const castellan = { ...Object(data.castellan), budget: { monthlyUsd } };
  const body = { policySet: 'default', reason, bundle: { modules: { 'promotion.rego': module }, data: { castellan } } };
  return `${JSON.stringify(body, null, 2)}\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [path, text] of Object.entries(EXAMPLES)) writeFileSync(new URL(path, root), text);
}
