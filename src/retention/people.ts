import { type Static, Type } from '@sinclair/typebox';

import { CursorSchema, DEFAULT_LIMIT, decodeCursor, encodeCursor, LimitSchema } from '../http/pagination.ts';
import { NotFound, ValidationFailed } from '../http/problem.ts';
import { findPerson, forgetPerson, listPeople, type PeopleTable } from '../identity/people.ts';
import { SYSTEM_CHAIN } from '../ids.ts';
import type {} from '../locks/table.ts';
import type { Trx } from '../storage/database.ts';
import type { Storage } from '../storage/storage.ts';
import { RetentionError } from './errors.ts';

export const PersonParams = Type.Object({ principalId: Type.String() });

export const PeopleQuery = Type.Object(
  {
    issuer: Type.Optional(Type.String({ maxLength: 2048, description: 'Exactly as in `iss`' })),
    subject: Type.Optional(Type.String({ maxLength: 255, description: 'Exactly as in `sub`' })),
    limit: Type.Optional(LimitSchema),
    cursor: Type.Optional(CursorSchema),
  },
  { additionalProperties: false },
);

/** Who is behind the id of a principal. */
export const Person = Type.Object({
  principalId: Type.String(),
  kind: Type.Union([Type.Literal('human'), Type.Literal('service')]),
  issuer: Type.String(),
  subject: Type.String(),
  firstSeenAt: Type.String({ description: 'RFC 3339 UTC with milliseconds' }),
});

export const PersonList = Type.Object({
  people: Type.Array(Person),
  nextCursor: Type.Union([Type.String(), Type.Null()], { description: 'Null on the last page' }),
});

type Query = Static<typeof PeopleQuery>;

/** Who is behind the ids of principals that came with tokens. */
export interface People {
  list(query: Query): Promise<Static<typeof PersonList>>;
  /** Throws NotFound, also for one that was forgotten. */
  get(principalId: string): Promise<Static<typeof Person>>;
}

export function createPeople(storage: Pick<Storage, 'read'>): People {
  async function list({ limit = DEFAULT_LIMIT, cursor, ...filters }: Query): Promise<Static<typeof PersonList>> {
    // A NUL would be an error of the database instead of the caller.
    if (Object.values(filters).some((text) => text.includes('\0'))) {
      throw new ValidationFailed([{ pointer: '/query', detail: 'holds a NUL' }]);
    }
    const scope = { route: 'people', workspaceId: SYSTEM_CHAIN, sort: 'id', filters };
    const after = cursor === undefined ? undefined : String(decodeCursor(scope, cursor)[0]);
    const rows = await storage.read(SYSTEM_CHAIN, (trx) => listPeople(trx, { ...filters, after }, limit + 1));
    const shown = rows.slice(0, limit);
    const last = shown.at(-1);
    return {
      people: shown.map(view),
      nextCursor: rows.length > limit && last !== undefined ? encodeCursor(scope, [last.id]) : null,
    };
  }

  async function get(principalId: string): Promise<Static<typeof Person>> {
    if (!PERSON_ID.test(principalId)) throw new NotFound();
    const row = await storage.read(SYSTEM_CHAIN, (trx) => findPerson(trx, principalId));
    if (row === undefined) throw new NotFound();
    return view(row);
  }

  return { list, get };
}

const PERSON_ID = /^(?:hu|sv)-[0-9a-f-]{36}$/;

/**
 * Forgets who the actor is, if that is known here; part of its erasure in the system chain. Whoever is locked out by this id would
 * come back with another one: that is refused.
 */
export async function forgetActor(trx: Trx, actorId: string): Promise<void> {
  if ((await findPerson(trx, actorId)) === undefined) return;
  const locks = await trx.selectFrom('access_locks').select('expires_at').where('principal_id', '=', actorId).execute();
  if (locks.some(({ expires_at: until }) => until === null || until.getTime() > Date.now())) {
    throw new RetentionError('CONFLICT', 'the principal is locked out, and would not be under another id');
  }
  await forgetPerson(trx, actorId);
}

function view({ id, kind, issuer, subject, first_seen: firstSeen }: PeopleTable): Static<typeof Person> {
  return {
    principalId: id,
    kind: kind === 'human' ? 'human' : 'service',
    issuer,
    subject,
    firstSeenAt: firstSeen.toISOString(),
  };
}
