import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';

import { PROBLEM_TABLE } from '../../src/http/problem-table.ts';

const PAGE = readFileSync(fileURLToPath(new URL('../../docs/http-status-codes.md', import.meta.url)), 'utf8');

interface Row {
  readonly code: string;
  readonly heading: string;
  readonly when: string;
  readonly toDo: string;
}

const rows: Row[] = PAGE.split(/^## /m).flatMap((section) => {
  const heading = section.slice(0, section.indexOf('\n'));
  return [...section.matchAll(/^\| `([A-Z_]+)` \| (.*) \| (.*) \|$/gm)].map(([, code = '', when = '', toDo = '']) => ({
    code,
    heading,
    when,
    toDo,
  }));
});

t.test('the page has each code of the table once, and no other', async (t) => {
  t.same(rows.map(({ code }) => code).sort(), Object.keys(PROBLEM_TABLE).sort());
});

t.test('each stands under its status, with when and what to do', async (t) => {
  for (const [code, { status }] of Object.entries(PROBLEM_TABLE)) {
    const row = rows.find((one) => one.code === code);
    t.ok(row !== undefined && isUnder(status, row), `${code}: ${status}`);
    t.ok(row !== undefined && row.when.length > 3 && row.toDo.length > 1, `${code}: says something`);
  }
});

/** A section that has several statuses names it in the row; one that has a class of them (`5xx`) does, too. */
function isUnder(status: number, { heading, when }: Row): boolean {
  return heading.startsWith(`${status}:`) || new RegExp(`^${status}: `).test(when);
}
