import { Transform } from 'node:stream';

import { readClientHello } from './client-hello.ts';
import { EgressFailure } from './failure.ts';
import { readName } from './target.ts';

/** Bytes in which a ClientHello has to be; those with post-quantum keys take 2,000. */
const MAX_HELLO = 16_384;
/** The second one answers a HelloRetryRequest. */
const MAX_HELLOS = 2;
const CHANGE_CIPHER_SPEC = 20;
const HANDSHAKE = 22;
/** What a ChangeCipherSpec record is: header and one byte (RFC 8446 §5). */
const CHANGE_CIPHER_SPEC_BYTES = 6;

/**
 * Passes on what a client sends through a tunnel. When that is TLS, it holds back the ClientHello until it is whole, and ends
 * the stream with SNI_MISMATCH when it names another host: an address is shared by many hosts, and the one that answers is the
 * one that is named there, not the one that was allowed. What does not begin like TLS, or names no host, passes.
 */
export function guardServerName(host: string): Transform {
  let held: Buffer = Buffer.alloc(0);
  let hellos = 0;
  let passes = false;

  /** How many of the bytes held may go on; undefined: none ever. */
  const inspect = (): number | undefined => {
    if (hellos > 0 && held[0] === CHANGE_CIPHER_SPEC) return Math.min(held.length, CHANGE_CIPHER_SPEC_BYTES);
    if (held[0] !== HANDSHAKE || hellos === MAX_HELLOS) return pass();
    const hello = readClientHello(held);
    if (hello === 'more') return held.length > MAX_HELLO ? undefined : 0;
    if (hello === 'other' && hellos > 0) return pass();
    if (typeof hello === 'string' || !hello.names.every((name) => readName(name) === host)) return undefined;
    hellos += 1;
    return hello.bytes;
  };
  const pass = () => {
    passes = true;
    return held.length;
  };

  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      if (passes) return done(null, chunk);
      held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
      while (held.length > 0) {
        const bytes = inspect();
        if (bytes === undefined) return done(new EgressFailure('SNI_MISMATCH'));
        if (bytes === 0) return done();
        this.push(held.subarray(0, bytes));
        held = held.subarray(bytes);
      }
      done();
    },
  });
}
