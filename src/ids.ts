import { v7 } from 'uuid';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const WORKSPACE_ID = /^[a-z0-9][a-z0-9-]{0,62}$/;

/** The chain of events that belong to no workspace; its name can never be a workspace id. */
export const SYSTEM_CHAIN = '_system';

/** A new time-ordered id (UUIDv7, RFC 9562 §5.7). */
export function newId(): string {
  return v7();
}

/** True for a canonical lower-case UUID, so that a malformed path id is a 404 and never reaches the database. */
export function isUuid(value: string): boolean {
  return UUID.test(value);
}

/** True for a name a workspace may have (contract §1). */
export function isWorkspaceId(value: string): boolean {
  return WORKSPACE_ID.test(value);
}
