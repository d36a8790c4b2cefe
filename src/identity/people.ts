import { randomUUID } from 'node:crypto';

import type { Trx } from '../storage/database.ts';
import { tableRoutine } from '../storage/session.ts';
import type { Storage } from '../storage/storage.ts';

/** Who is behind the id of a principal that came with a token; erased when that is to be forgotten. */
export interface PeopleTable {
  id: string;
  kind: string;
  issuer: string;
  subject: string;
  first_seen: Date;
}

declare module '../storage/database.ts' {
  interface Database {
    people: PeopleTable;
  }
}

const IDENTIFY = tableRoutine('person_identify', 4);
const PREFIXES = { human: 'hu', service: 'sv' } as const;

/** The opaque id of a subject: the one it had before, or a new one that says nothing about it. */
export function identifyPerson(storage: Pick<Storage, 'call'>) {
  return async (issuer: string, subject: string, kind: 'human' | 'service'): Promise<string> => {
    const proposed = `${PREFIXES[kind]}-${randomUUID()}`;
    const [row] = await storage.call<{ id: string }>(IDENTIFY, [proposed, kind, issuer, subject]);
    if (row === undefined) throw new Error('no id for a subject');
    return row.id;
  };
}

export interface PeopleFilter {
  readonly issuer?: string | undefined;
  readonly subject?: string | undefined;
  readonly after?: string | undefined;
}

/** By id, `limit` of them at most; in a transaction that has entered `_system`. */
export function listPeople(trx: Trx, { issuer, subject, after }: PeopleFilter, limit: number) {
  let query = trx.selectFrom('people').selectAll().orderBy('id').limit(limit);
  if (issuer !== undefined) query = query.where('issuer', '=', issuer);
  if (subject !== undefined) query = query.where('subject', '=', subject);
  if (after !== undefined) query = query.where('id', '>', after);
  return query.execute();
}

export function findPerson(trx: Trx, id: string): Promise<PeopleTable | undefined> {
  return trx.selectFrom('people').selectAll().where('id', '=', id).executeTakeFirst();
}

/** Nobody can say any more whose id it was; a new token of the same subject gets another one. */
export async function forgetPerson(trx: Trx, id: string): Promise<void> {
  await trx.deleteFrom('people').where('id', '=', id).execute();
}
