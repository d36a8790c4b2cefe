import { createReadStream } from 'node:fs';

import { VerifyError } from './errors.ts';

/** Bytes; body, payload and base64 of the largest event stay well below. */
const MAX_LINE = 4_194_304;
const LINE_FEED = 0x0a;

/** Lines without their break, in bounded memory: node:readline would buffer a line of any length. Throws VerifyError. */
export async function* linesOf(path: string): AsyncGenerator<Buffer> {
  let rest = Buffer.alloc(0);
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 1_048_576 })) {
      let bytes: Buffer = Buffer.concat([rest, chunk]);
      for (let end = bytes.indexOf(LINE_FEED); end !== -1; end = bytes.indexOf(LINE_FEED)) {
        yield bytes.subarray(0, end);
        bytes = bytes.subarray(end + 1);
      }
      if (bytes.length > MAX_LINE)
        throw new VerifyError('UNREADABLE', `${path} has a line of more than ${MAX_LINE} bytes`);
      rest = Buffer.from(bytes);
    }
  } catch (cause) {
    if (cause instanceof VerifyError) throw cause;
    throw new VerifyError('UNREADABLE', `cannot read ${path}`, cause);
  }
  if (rest.length > 0) yield rest;
}
