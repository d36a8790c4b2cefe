import type { Test } from 'tap';

import { ENDS } from './ends.ts';
import { ENVIRONMENT } from './environment.ts';
import { LIFECYCLE } from './lifecycle.ts';
import { OUTPUT } from './output.ts';
import { REPLICAS } from './replicas.ts';
import { RESULTS } from './results.ts';
import { type Opened, type Statement, type Subject, tryStatement } from './statement.ts';
import { WALLS } from './walls.ts';
import { WORKSPACE } from './workspace.ts';

/** What every driver holds to, by subject. */
export const STATEMENTS = {
  results: RESULTS,
  output: OUTPUT,
  ends: ENDS,
  workspace: WORKSPACE,
  environment: ENVIRONMENT,
  walls: WALLS,
  lifecycle: LIFECYCLE,
  replicas: REPLICAS,
} as const satisfies Record<string, readonly Statement[]>;

/** Every statement of these groups as a test of its own, on one isolation; those that close it open another. */
export function isolationConformance(
  t: Test,
  subject: Subject,
  groups: readonly string[] = Object.keys(STATEMENTS),
): void {
  let opened: Opened | undefined;
  t.test(`${subject.name}: can be had`, async (t) => {
    opened = await subject.open();
    t.match(await opened.isolation.state(), { available: true });
  });
  t.teardown(() => opened?.close());
  for (const [group, statements] of Object.entries(STATEMENTS)) {
    if (!groups.includes(group)) continue;
    for (const statement of statements) {
      t.test(`${subject.name}, ${group}: ${statement.says}`, { skip: lacking(statement, subject) }, async (t) => {
        if (opened === undefined) throw new Error('there is no isolation');
        await tryStatement(statement, subject, opened.isolation);
        t.pass('holds');
      });
    }
  }
}

function lacking({ needs = [] }: Statement, { has }: Subject): string | false {
  const missing = needs.filter((capability) => !has[capability]);
  return missing.length > 0 && `cannot be shown here: ${missing.join(', ')}`;
}
