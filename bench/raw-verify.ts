// What Ed25519 verification costs here without anything around it: one thread, one key, bodies of an event's size.
import { generateKeyPairSync, randomBytes, sign, verify } from 'node:crypto';

/** Bytes; an audit event's body with its type around it. */
const BODY_BYTES = 700;
const BODIES = 256;

const seconds = Number(process.argv[2]);
const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const signed = Array.from({ length: BODIES }, () => {
  const body = randomBytes(BODY_BYTES);
  return { body, signature: sign(null, body, privateKey) };
});
// Warm before it counts.
for (const { body, signature } of signed) verify(null, body, publicKey, signature);

let verified = 0;
const before = process.cpuUsage();
const started = performance.now();
while (performance.now() - started < seconds * 1000) {
  for (const { body, signature } of signed) {
    if (!verify(null, body, publicKey, signature)) throw new Error('a good signature was refused');
  }
  verified += BODIES;
}
const { user, system } = process.cpuUsage(before);
console.log(
  JSON.stringify({ count: verified, seconds: (performance.now() - started) / 1000, cpu: (user + system) / 1e6 }),
);
