import t from 'tap';
import { DsseError, pae, parseEnvelope } from '../../src/crypto/dsse.ts';

const signature = { keyid: 'k1', sig: 'AAAA' };
const envelope = { payloadType: 'application/json', payload: 'e30=', signatures: [signature] };

t.test('pre-authentication encoding', async (t) => {
  // The example of the DSSE protocol page.
  const encoded = pae('http://example.com/HelloWorld', Buffer.from('hello world'));
  t.equal(encoded.toString(), 'DSSEv1 29 http://example.com/HelloWorld 11 hello world');
  t.equal(pae('é', Buffer.from('ü')).toString(), 'DSSEv1 2 é 2 ü', 'lengths are bytes');
  t.same(pae('a', Buffer.from([0xff])).at(-1), 0xff, 'the payload is bytes, not text');
  t.notSame(pae('a', Buffer.from('b c')), pae('a b', Buffer.from('c')), 'type and payload cannot be shifted');
});

t.test('parses an envelope', async (t) => {
  t.same(parseEnvelope(envelope), envelope);
  t.same(parseEnvelope({ ...envelope, signatures: [signature, signature] }).signatures.length, 2);
});

t.test('refuses everything else', async (t) => {
  const { payload: _payload, ...withoutPayload } = envelope;
  const refused: Record<string, unknown> = {
    'no object': 'e30=',
    null: null,
    'a list': [envelope],
    'unknown member': { ...envelope, extra: 1 },
    'missing member': withoutPayload,
    'inherited member': Object.create(envelope),
    'as many other members': Object.assign(Object.create(envelope), { a: 1, b: 2, c: 3 }),
    'other member instead': { ...withoutPayload, payloads: 'e30=' },
    'type is no text': { ...envelope, payloadType: 1 },
    'type is empty': { ...envelope, payloadType: '' },
    'type with a line break': { ...envelope, payloadType: 'a\n' },
    'payload is no text': { ...envelope, payload: 1 },
    'payload is empty': { ...envelope, payload: '' },
    'payload without padding': { ...envelope, payload: 'e30' },
    'payload with loose bits': { ...envelope, payload: 'e31=' },
    'payload in the URL alphabet': { ...envelope, payload: '-_8=' },
    'payload with white space': { ...envelope, payload: 'e3 0' },
    'payload over 1 MiB': { ...envelope, payload: 'A'.repeat(1_500_000) },
    'no signatures': { ...envelope, signatures: [] },
    'signatures are no list': { ...envelope, signatures: { 0: signature, length: 1 } },
    'too many signatures': { ...envelope, signatures: new Array(17).fill(signature) },
    'signature with an algorithm': { ...envelope, signatures: [{ ...signature, alg: 'none' }] },
    'signature without keyid': { ...envelope, signatures: [{ sig: 'AAAA' }] },
    'keyid is empty': { ...envelope, signatures: [{ ...signature, keyid: '' }] },
    'keyid is no text': { ...envelope, signatures: [{ ...signature, keyid: {} }] },
    'sig is empty': { ...envelope, signatures: [{ ...signature, sig: '' }] },
    'sig is too long': { ...envelope, signatures: [{ ...signature, sig: 'A'.repeat(4096) }] },
  };
  for (const [why, value] of Object.entries(refused)) {
    t.match(
      t.throws(() => parseEnvelope(value), DsseError, why),
      { code: 'MALFORMED' },
    );
  }
});
