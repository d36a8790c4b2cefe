import { AssertionError } from 'node:assert';
import t from 'tap';

import { brokenSubject } from './broken.ts';
import { type Statement, type Subject, tryStatement } from './statement.ts';
import { STATEMENTS } from './suite.ts';

type Group = keyof typeof STATEMENTS;

/** What the driver without walls and ends must fail, and what the one that says wrong things; of replicas each fails something. */
const BARE: readonly Group[] = ['ends', 'workspace', 'environment', 'walls', 'lifecycle'];
const LIAR: readonly Group[] = ['results', 'output'];
const EITHER: readonly Group[] = ['replicas'];

t.test('every group is tried', async (t) => {
  t.same([...BARE, ...LIAR, ...EITHER].toSorted(), Object.keys(STATEMENTS).toSorted());
});

t.test('a driver without walls fails every test about walls, limits and ends', async (t) => {
  const verdicts = await tried(brokenSubject('bare'), BARE);
  for (const { says, verdict } of verdicts) t.equal(verdict, 'fails', says);
});

t.test('a driver that says wrong things fails every test about what is said', async (t) => {
  const verdicts = await tried(brokenSubject('liar'), LIAR);
  for (const { says, verdict } of verdicts) t.equal(verdict, 'fails', says);
});

t.test('every test about replicas is failed by one of them', async (t) => {
  const [bare, liar] = await Promise.all([tried(brokenSubject('bare'), EITHER), tried(brokenSubject('liar'), EITHER)]);
  for (const [i, { says, verdict }] of bare.entries())
    t.ok([verdict, liar[i]?.verdict].includes('fails'), says, { bare: verdict, liar: liar[i]?.verdict });
});

t.test('names of tests are there once', async (t) => {
  for (const [group, statements] of Object.entries(STATEMENTS)) {
    const names = statements.map(({ says }) => says);
    t.equal(new Set(names).size, names.length, group);
  }
});

/** Each statement by itself, all at the same time. A crash is no failure of what it states. */
async function tried(subject: Subject, groups: readonly Group[]): Promise<{ says: string; verdict: string }[]> {
  const statements: readonly Statement[] = groups.flatMap((group) => [...STATEMENTS[group]]);
  return Promise.all(
    statements.map(async (statement) => {
      const { isolation, close } = await subject.open();
      const verdict = await tryStatement(statement, subject, isolation).then(
        () => 'passes',
        (error: unknown) => (error instanceof AssertionError ? 'fails' : `breaks: ${String(error)}`),
      );
      await close();
      return { says: statement.says, verdict };
    }),
  );
}
