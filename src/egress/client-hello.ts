const CLIENT_HELLO = 1;
const HANDSHAKE = 22;
const RECORD_HEADER = 5;
const HANDSHAKE_HEADER = 4;
/** version, random (RFC 8446 §4.1.2). */
const FIXED_PART = 34;
const SERVER_NAME = 0;

/** `more`: not all of it is there; `other`: a handshake message of another kind; `bad`: nobody would send that. */
export type Hello = 'more' | 'other' | 'bad' | { readonly names: readonly string[]; readonly bytes: number };

/**
 * The host names (SNI, RFC 6066 §3) in the ClientHello that the bytes begin with, which are TLS records of handshake; it may
 * lie in several records, down to a byte in each. `bytes`: how many of them it is.
 */
export function readClientHello(bytes: Buffer): Hello {
  let message = Buffer.alloc(0);
  let at = 0;
  for (;;) {
    if (bytes.length < at + RECORD_HEADER) return 'more';
    const length = bytes.readUInt16BE(at + 3);
    if (bytes[at] !== HANDSHAKE || length === 0) return 'bad';
    const record = bytes.subarray(at + RECORD_HEADER, at + RECORD_HEADER + length);
    message = Buffer.concat([message, record]);
    if (message.length > 0 && message[0] !== CLIENT_HELLO) return 'other';
    if (record.length < length) return 'more';
    at += RECORD_HEADER + length;
    if (message.length < HANDSHAKE_HEADER) continue;
    const wanted = HANDSHAKE_HEADER + message.readUIntBE(1, 3);
    // Nothing else belongs into its last record.
    if (message.length > wanted) return 'bad';
    if (message.length === wanted) {
      const names = namesOf(message.subarray(HANDSHAKE_HEADER));
      return names === undefined ? 'bad' : { names, bytes: at };
    }
  }
}

function namesOf(body: Buffer): string[] | undefined {
  const read = reader(body);
  read.skip(FIXED_PART);
  read.vector(1); // session
  read.vector(2); // cipher suites
  read.vector(1); // compression
  if (read.failed()) return undefined;
  if (read.ended()) return [];
  const extensions = reader(read.vector(2));
  if (read.failed() || !read.ended()) return undefined;
  const names: string[] = [];
  while (!extensions.ended()) {
    const type = extensions.number(2);
    const content = extensions.vector(2);
    if (extensions.failed()) return undefined;
    if (type !== SERVER_NAME) continue;
    const outer = reader(content);
    const list = reader(outer.vector(2));
    while (!list.ended()) {
      list.number(1); // Whatever its type, a name that is not known to be this host's is not let through.
      names.push(list.vector(2).toString('latin1'));
      if (list.failed()) return undefined;
    }
    if (outer.failed() || !outer.ended()) return undefined;
  }
  return names;
}

/** Reads past the end nowhere: what is missing is remembered, and read as nothing. */
function reader(bytes: Buffer) {
  let at = 0;
  let failed = false;
  const take = (count: number) => {
    if (at + count > bytes.length) failed = true;
    const part = failed ? Buffer.alloc(0) : bytes.subarray(at, at + count);
    at = failed ? bytes.length : at + count;
    return part;
  };
  const number = (width: number) => {
    const part = take(width);
    return part.length === 0 ? 0 : part.readUIntBE(0, width);
  };
  return {
    skip: (count: number) => void take(count),
    number,
    /** A length of so many bytes, and as many bytes as it says. */
    vector: (width: number) => take(number(width)),
    failed: () => failed,
    ended: () => at >= bytes.length,
  };
}
