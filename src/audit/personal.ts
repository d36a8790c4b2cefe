import { createHmac, randomBytes } from 'node:crypto';

import { EVENT_TYPES, type EventType } from './event-types.ts';

/** Bytes of a salt: without it nobody can try values against a commitment. */
const SALT_BYTES = 32;
/** Bytes of a value; the table holds the same bound. */
const MAX_VALUE = 8192;

/** What a person wrote, to be kept beside the event for as long as nobody erases it. */
export interface PersonalValue {
  readonly member: string;
  readonly value: string;
  readonly salt: Buffer;
}

const PERSONAL_MEMBERS: ReadonlyMap<string, readonly string[]> = new Map(
  Object.entries(EVENT_TYPES).flatMap(([type, { properties }]) => {
    const members = Object.entries(properties).flatMap(([name, schema]) => (isPersonal(schema) ? [name] : []));
    return members.length > 0 ? [[type, members] as const] : [];
  }),
);

const NONE: readonly PersonalValue[] = [];

/** The members of a type's payload that are commitments in the body. */
export function personalMembers(type: EventType): readonly string[] {
  return PERSONAL_MEMBERS.get(type) ?? [];
}

/** The payload as the body has it, and what its commitments stand for. Throws RangeError for text that cannot be kept. */
export function commit(type: EventType, payload: object): { payload: object; personal: readonly PersonalValue[] } {
  const members = PERSONAL_MEMBERS.get(type);
  if (members === undefined) return { payload, personal: NONE };
  const bound: Record<string, unknown> = { ...payload };
  const personal: PersonalValue[] = [];
  for (const member of members) {
    const value = bound[member];
    if (value === undefined) continue;
    if (!isKeepable(value)) throw new RangeError(`the ${member} of an event ${type} cannot be kept`);
    const salt = randomBytes(SALT_BYTES);
    bound[member] = { c: createHmac('sha256', salt).update(value, 'utf8').digest('hex') };
    personal.push({ member, value, salt });
  }
  return { payload: bound, personal };
}

/** PostgreSQL stores no U+0000; a lone surrogate would be committed to as another text than was written. */
function isKeepable(value: unknown): value is string {
  return (
    typeof value === 'string' &&
    value.isWellFormed() &&
    !value.includes('\0') &&
    Buffer.byteLength(value, 'utf8') <= MAX_VALUE
  );
}

function isPersonal(schema: object): boolean {
  const inner = 'personal' in schema ? schema.personal : undefined;
  return inner === true;
}
