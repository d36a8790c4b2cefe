import { ValidationFailed } from './problem.ts';

/** The instant in a query member of format date-time; throws ValidationFailed for one that Date cannot hold. */
export function queryTime(member: string, text: string | undefined): Date | undefined {
  if (text === undefined) return undefined;
  const time = new Date(text);
  if (!Number.isNaN(time.getTime())) return time;
  // RFC 3339 knows leap seconds, Date does not.
  throw new ValidationFailed([{ pointer: `/query/${member}`, detail: 'cannot be represented' }]);
}
