import { NotFound } from '../http/problem.ts';
import { isUuid } from '../ids.ts';

/** The id, if it can be one: anything else is unknown without asking the database. Throws NotFound. */
export function known(agentId: string): string {
  if (!isUuid(agentId)) throw new NotFound();
  return agentId;
}

/** The row, if there is one. Throws NotFound. */
export function found<T>(row: T | undefined): T {
  if (row === undefined) throw new NotFound();
  return row;
}
