import { type TObject, type TProperties, Type } from '@sinclair/typebox';

export const id = Type.String({ description: 'UUIDv7' });
export const digest = Type.String({ description: 'sha256: and lower-case hex' });
export const text = Type.String();
/** What a person wrote: in the body a commitment to it, `{ "c": … }`, which outlives its erasure (personal.ts). */
export const personal = Type.String({ personal: true });
export const time = Type.String({ description: 'RFC 3339 UTC with milliseconds' });
export const count = Type.Integer();

/** A payload of exactly these members. */
export function payload<T extends TProperties>(properties: T): TObject<T> {
  return Type.Object(properties, { additionalProperties: false });
}
