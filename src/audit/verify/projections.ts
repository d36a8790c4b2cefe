import type { EventBody } from './body.ts';
import type { AuditRow } from './row.ts';

const STRING = /"(?:[^"\\]|\\.)*"/g;
const NUMBER = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
/** A number this long may be one that JavaScript rounds. */
const LONG_NUMBER = /\d[\d.]{16}/;

/** The columns that say something else than the body, by the names of the API form; chain and seq are judged elsewhere. */
export function editedProjections(row: AuditRow, body: EventBody): string[] {
  const edited: string[] = [];
  if (row.id !== body.id) edited.push('id');
  if (row.eventType !== body.eventType) edited.push('eventType');
  if (row.ts !== body.ts) edited.push('ts');
  if (!sameValue(row.actor, body.actor)) edited.push('actor');
  if (!samePayload(row.payload, body.payload)) edited.push('payload');
  if (row.prevHash !== body.prevHash) edited.push('prevHash');
  if (row.signerId !== body.signerId) edited.push('signerId');
  return edited;
}

/** jsonb re-renders a document: order and number spelling may differ, the values may not. */
function samePayload(text: string, payload: unknown): boolean {
  try {
    if (!sameValue(JSON.parse(text), payload)) return false;
  } catch {
    return false;
  }
  // jsonb keeps digits that JavaScript rounds away: an edit could hide in them.
  return !LONG_NUMBER.test(text) || numbersOf(text).every((number) => decimal(number) === decimal(`${Number(number)}`));
}

function numbersOf(text: string): string[] {
  return text.replaceAll(STRING, '""').match(NUMBER) ?? [];
}

/** One spelling per decimal value: significant digits and the exponent of the last one. */
function decimal(number: string): string {
  const [mantissa = '', exponent = '0'] = number.toLowerCase().split('e');
  const [whole = '', fraction = ''] = mantissa.replace('-', '').split('.');
  const digits = `${whole}${fraction}`.replace(/^0+/, '');
  const significant = digits.replace(/0+$/, '');
  if (significant === '') return '0';
  const scale = Number(exponent) - fraction.length + (digits.length - significant.length);
  return `${mantissa.startsWith('-') ? '-' : ''}${significant}e${scale}`;
}

function sameValue(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const members = Object.entries(a);
  if (members.length !== Object.keys(b).length) return false;
  const other = new Map(Object.entries(b));
  return members.every(([name, value]) => other.has(name) && sameValue(value, other.get(name)));
}
