const SHAPE = /^[A-Za-z0-9+/]*={0,2}$/;

/**
 * The bytes of canonical base64 (RFC 4648 §4: standard alphabet, padded, unused bits zero), else undefined.
 * Other spellings of the same bytes are refused, so that an envelope cannot be respelt without being changed.
 */
export function decodeBase64(text: string): Buffer | undefined {
  if (text.length % 4 !== 0 || !SHAPE.test(text)) return undefined;
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : undefined;
}
