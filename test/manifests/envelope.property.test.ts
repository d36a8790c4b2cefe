import t from 'tap';
import { v7 } from 'uuid';

import { verificationKey, verifySignatureAsync } from '../../src/crypto/verify.ts';
import { parseStrictJsonText } from '../../src/http/strict-json.ts';
import { namesIn, readEnvelope } from '../../src/manifests/envelope.ts';
import { ManifestError } from '../../src/manifests/errors.ts';
import fc from '../support/fast-check.ts';
import { canonical, digest, newKey, seal } from './support.ts';

const key = newKey();
const verifier = verificationKey(key.alg, key.publicKey);

const manifests = fc
  .record({
    issued: fc.date({ noInvalidDate: true, min: new Date('2000-01-01'), max: new Date('2090-01-01') }),
    life: fc.nat(),
    audience: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }),
    spec: fc.string(),
  })
  .map(({ issued, life, audience, spec }) => ({
    v: 1,
    manifestId: v7(),
    agentConfigHash: digest(spec),
    issuedAt: issued.toISOString(),
    expiresAt: new Date(issued.getTime() + life).toISOString(),
    audience: audience.replaceAll('\0', '0'),
  }));

/** A JSON text of the value with members in any order, any white space, and any letter as an escape. */
function respell(value: unknown, dice: () => number): string {
  const space = () => ' \t\n\r'.slice(0, dice() % 3);
  if (typeof value === 'string') return stringOf(value, dice);
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value)
    .map(([name, one]) => ({ at: dice(), text: `${stringOf(name, dice)}${space()}:${space()}${respell(one, dice)}` }))
    .sort((a, b) => a.at - b.at);
  return `{${space()}${members.map(({ text }) => text).join(`${space()},${space()}`)}}`;
}

function stringOf(text: string, dice: () => number): string {
  const unit = (one: string) =>
    dice() % 4 === 0 ? `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}` : JSON.stringify(one).slice(1, -1);
  // By code point, so that no half of a pair is written as it is.
  const units = [...text].map((point) => (point.length === 1 ? unit(point) : point));
  return `"${units.join('')}"`;
}

t.test('any spelling of an envelope is read as the bytes that were signed', async () => {
  await fc.assert(
    fc.asyncProperty(manifests, fc.infiniteStream(fc.nat()), async (manifest, stream) => {
      const dice = () => stream.next().value;
      const text = respell(seal(key, manifest), dice);
      const envelope = readEnvelope(parseStrictJsonText(text));
      return (
        envelope.bytes.toString() === canonical(manifest) &&
        envelope.manifestHash === digest(manifest) &&
        (await verifySignatureAsync(verifier, envelope.bytes, envelope.signature))
      );
    }),
  );
});

t.test('whatever is changed in a manifest, its signature is none any more', async () => {
  const changes = fc.oneof(
    fc.constant({ manifestId: v7() }),
    fc.record({
      audience: fc
        .string({ minLength: 1, maxLength: 40 })
        .filter((text) => !text.includes('\0') && text.isWellFormed()),
    }),
    fc.record({ agentConfigHash: fc.string().map(digest) }),
    fc.record({
      expiresAt: fc
        .date({ noInvalidDate: true, min: new Date('2000-01-01'), max: new Date('2090-01-01') })
        .map((at) => at.toISOString()),
    }),
  );
  await fc.assert(
    fc.asyncProperty(manifests, changes, async (manifest, change) => {
      const changed = { ...manifest, ...change };
      fc.pre(canonical(changed) !== canonical(manifest));
      const { bytes, signature } = readEnvelope({ ...seal(key, manifest), manifest: changed });
      return !(await verifySignatureAsync(verifier, bytes, signature));
    }),
  );
});

t.test('any value is an envelope, or refused by a code', async () => {
  const near = manifests.chain((manifest) =>
    fc.record(
      {
        manifest: fc.oneof(fc.constant(manifest), fc.jsonValue()),
        manifestSignature: fc.oneof(fc.constant('AAAA'), fc.jsonValue()),
        manifestSignatureId: fc.oneof(fc.constant(key.signerId), fc.jsonValue()),
        manifestHash: fc.oneof(fc.constant(digest('')), fc.jsonValue()),
      },
      { requiredKeys: [] },
    ),
  );
  fc.assert(
    fc.property(fc.oneof(near, fc.jsonValue(), fc.anything({ maxDepth: 2, withNullPrototype: true })), (value) => {
      const names = Object.values(namesIn(value));
      if (!names.every((name) => /^[A-Za-z0-9._:/-]{1,255}$/.test(name))) return false;
      try {
        readEnvelope(value);
        return true;
      } catch (error) {
        return error instanceof ManifestError && /^MANIFEST_(MALFORMED|TOO_LARGE)$/.test(error.code);
      }
    }),
  );
});
