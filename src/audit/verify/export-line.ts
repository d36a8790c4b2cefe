import { parsePlace, placeForm } from './batch-place.ts';
import { VerifyError } from './errors.ts';
import { parseValues, valuesForm } from './personal-form.ts';
import type { AuditRow } from './row.ts';

/** One event as a line of an export, without the line break: the API form with the sign mode; the body byte for byte. */
export function toExportLine(row: AuditRow): string {
  return JSON.stringify({
    id: row.id,
    chain: row.chain,
    seq: row.seq,
    eventType: row.eventType,
    payload: parsed(row.payload),
    actor: row.actor,
    prevHash: row.prevHash,
    hash: row.hash,
    signature: row.signature,
    signerId: row.signerId,
    ts: row.ts,
    body: row.body.toString('base64'),
    signMode: row.signMode,
    ...(row.batch === undefined ? {} : { batch: placeForm(row.batch) }),
    ...valuesForm(row.personal),
  });
}

/** The event on a line of an export. Throws VerifyError UNREADABLE when it is not of that form. */
export function fromExportLine(line: string, number: number): AuditRow {
  const event = parsed(line);
  if (typeof event !== 'object' || event === null || Array.isArray(event)) throw unreadable(number, 'no JSON object');
  const members = new Map<string, unknown>(Object.entries(event));
  const text = (name: string): string => {
    const value = members.get(name);
    if (typeof value !== 'string') throw unreadable(number, `no text "${name}"`);
    return value;
  };
  const optional = (name: string): string | null => {
    const value = members.get(name) ?? null;
    return value === null ? null : text(name);
  };
  const seq = members.get('seq');
  if (typeof seq !== 'number' || !Number.isSafeInteger(seq)) throw unreadable(number, 'no integer "seq"');
  const signature = optional('signature');
  return {
    chain: text('chain'),
    seq,
    id: text('id'),
    eventType: text('eventType'),
    ts: text('ts'),
    actor: members.get('actor'),
    payload: JSON.stringify(members.get('payload') ?? null),
    body: bytes(text('body'), number),
    hash: text('hash'),
    prevHash: text('prevHash'),
    signature,
    signerId: optional('signerId'),
    signMode: optional('signMode') ?? (signature === null ? 'deferred' : 'event'),
    batch: parsePlace(members.get('batch')),
    personal: valuesOf(members.get('personal'), number),
  };
}

function valuesOf(stored: unknown, number: number): AuditRow['personal'] {
  if (stored === undefined) return undefined;
  const values = parseValues(stored);
  if (values === undefined) throw unreadable(number, '"personal" is not of values and salts');
  return values;
}

function bytes(base64: string, number: number): Buffer {
  const body = Buffer.from(base64, 'base64');
  if (body.toString('base64') !== base64) throw unreadable(number, '"body" is not base64');
  return body;
}

/** undefined for text that is no JSON; JSON itself cannot say undefined. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function unreadable(number: number, detail: string): VerifyError {
  return new VerifyError('UNREADABLE', `line ${number} is no event of an audit export: ${detail}`);
}
