import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { verificationKey } from '../../src/crypto/verify.ts';
import { formatNote, parseNote } from '../../src/transparency/note.ts';
import { formatVerifierKey, noteKey, parseVerifierKey } from '../../src/transparency/note-key.ts';
import { openNote } from '../../src/transparency/open-note.ts';
import { cosignNote, signNote } from '../../src/transparency/sign-note.ts';
import fc from '../support/fast-check.ts';
import {
  ENOCH,
  ENOCHS_LINE,
  EXAMPLE,
  EXAMPLE_NOTE,
  PETER,
  PETERS_LINE,
  PUBLIC_LOG,
  PUBLIC_WITNESSES,
  TEXT,
} from './support/known-notes.ts';
import { newNoteSigner } from './support/note-keys.ts';

const peter = parseVerifierKey(PETER);
const enoch = parseVerifierKey(ENOCH);
const signed = (lines: string, text = TEXT) => `${text}\n${lines}`;

t.test('reads and writes the keys of others', async (t) => {
  for (const text of [PETER, ENOCH, EXAMPLE, PUBLIC_LOG, ...PUBLIC_WITNESSES]) {
    t.equal(formatVerifierKey(parseVerifierKey(text)), text);
  }
  t.equal(parseVerifierKey(PUBLIC_WITNESSES[0] ?? '').type, 'cosignature/v1');
});

t.test('no part of a verifier key can be other than it is', async (t) => {
  const wrong = [...PETER].map(
    (char, at) => PETER.slice(0, at) + String.fromCharCode(char.charCodeAt(0) + 1) + PETER.slice(at + 1),
  );
  const cut = [...PETER].flatMap((_, at) => [PETER.slice(at + 1), PETER.slice(0, at)]);
  const others = [
    'PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW', // hash in upper case
    'PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==', // too long a key, with its hash
    'PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW', // unknown type, with its hash
    `${PETER}\n`,
    ` ${PETER}`,
    `${PETER}=`,
    'rekor.sigstore.dev+12345678+THIS_IS_NOT_BASE64!',
    'rekor.sigstore.dev+12345678+AwEB',
    'bananas.sigstore.dev+12344556',
  ];
  for (const text of [...wrong, ...cut, ...others]) t.throws(() => parseVerifierKey(text), { code: 'MALFORMED' }, text);
});

t.test('names that no note can hold', async (t) => {
  const { publicKey } = peter;
  for (const name of [
    '',
    'a b',
    'a+b',
    'a\nb',
    'a\u00a0b',
    'a\u0085b',
    'a\u2003b',
    '\ud800',
    'a\x7f',
    'n'.repeat(256),
  ]) {
    t.throws(() => noteKey(name, 'ed25519', publicKey), { code: 'MALFORMED' }, JSON.stringify(name));
  }
  t.equal(noteKey('née.example/☃', 'ed25519', publicKey).name, 'née.example/☃');
  const hmac = verificationKey('HMAC-SHA256', Buffer.alloc(32));
  t.throws(() => noteKey('a', 'ed25519', hmac), { code: 'MALFORMED' });
});

t.test('opens the notes of others', async (t) => {
  t.equal(openNote(EXAMPLE_NOTE, [parseVerifierKey(EXAMPLE)]).text, 'This is an example message.\n');
  const one = openNote(Buffer.from(signed(PETERS_LINE + ENOCHS_LINE)), [peter]);
  t.equal(one.text, TEXT);
  t.same(
    one.verified.map(({ key }) => key.name),
    ['PeterNeumann'],
  );
  t.same(
    one.unknown.map(({ name, keyId }) => [name, keyId]),
    [['EnochRoot', 0xaf0cfe78]],
  );
  const both = openNote(signed(PETERS_LINE + ENOCHS_LINE + PETERS_LINE), [peter, enoch]);
  t.same(
    both.verified.map(({ key }) => key.name),
    ['PeterNeumann', 'EnochRoot'],
    'a key counts once',
  );
});

t.test('believes no one else', async (t) => {
  const both = signed(PETERS_LINE + ENOCHS_LINE);
  const damaged = `${PETERS_LINE.slice(0, 60)}ABCD${PETERS_LINE.slice(60)}`;
  const sameName = noteKey('PeterNeumann', 'ed25519', enoch.publicKey);
  t.throws(() => openNote(both, []), { code: 'NOTE_UNSIGNED' });
  t.throws(() => openNote(signed(ENOCHS_LINE), [peter]), { code: 'NOTE_UNSIGNED' });
  t.throws(() => openNote(signed(PETERS_LINE), [sameName]), { code: 'NOTE_UNSIGNED' }, 'the name alone is nothing');
  t.throws(() => openNote(signed(damaged), [peter]), { code: 'NOTE_SIGNATURE_WRONG' });
  t.throws(
    () => openNote(signed(PETERS_LINE + damaged), [peter]),
    { code: 'NOTE_SIGNATURE_WRONG' },
    'also behind a right one',
  );
  t.throws(() => openNote(signed(ENOCHS_LINE + damaged), [peter, enoch]), { code: 'NOTE_SIGNATURE_WRONG' });
  t.throws(() => openNote(both.replace('answer', 'Answer'), [peter]), { code: 'NOTE_SIGNATURE_WRONG' });
  t.throws(() => openNote(signed(PETERS_LINE), [enoch, peter, enoch]), { code: 'MALFORMED' }, 'an ambiguous key');
});

t.test('refuses what is no note', async (t) => {
  const endless = (line: string) => line.slice(0, -1);
  const refused: Record<string, string | Uint8Array> = {
    nothing: '',
    'text only': TEXT,
    'no signatures': `${TEXT}\n`,
    'a last line without an end': signed(endless(PETERS_LINE)),
    'a control character': signed(PETERS_LINE, `\x01${TEXT}`),
    'a carriage return': signed(PETERS_LINE.replace('\n', '\r\n')),
    'a tab': signed(PETERS_LINE, 'a\tb\n'),
    'no UTF-8': Buffer.concat([Buffer.from([0xff]), Buffer.from(signed(PETERS_LINE))]),
    'half a surrogate pair': signed(PETERS_LINE, '\ud800\n'),
    'a name with a space': signed('— Peter Neumann x08go/ZJkuBS9UG/\n'),
    'a name with a space of another script': signed('— Peter\u2003Neumann x08go/ZJkuBS9UG/\n'),
    'a name with a plus': signed('— Peter+Neumann x08go/ZJkuBS9UG/\n'),
    'no name': signed('—  x08go/ZJkuBS9UG/\n'),
    'a hyphen for the dash': signed(PETERS_LINE.replace('—', '-')),
    'a line between': signed(`${PETERS_LINE}Unexpected line.\n`),
    'an empty line at the end': signed(`${PETERS_LINE}\n`),
    'a signature without its key ID': signed('— PeterNeumann x08g\n'),
    'a key ID without its signature': signed('— PeterNeumann x08gow==\n'),
    'loose bits': signed('— PeterNeumann x08go/ZJkuBS9UH=\n'),
    'base64 without padding': signed(PETERS_LINE.replace('=\n', '\n')),
    'base64 of URLs': signed(PETERS_LINE.replaceAll('/', '_')),
    'something behind the signature': signed(PETERS_LINE.replace('\n', ' x\n')),
    'too many signatures': signed(PETERS_LINE.repeat(101)),
    'more than a megabyte': signed(PETERS_LINE, `${'a'.repeat(1_000_000)}\n`),
  };
  for (const [why, note] of Object.entries(refused))
    t.throws(() => openNote(note, [peter]), { code: 'MALFORMED' }, why);
  t.equal(openNote(signed(PETERS_LINE.repeat(100)), [peter]).verified.length, 1, 'a hundred are not too many');
});

t.test('a byte order mark is part of the text', async (t) => {
  const note = Buffer.from(signed(PETERS_LINE, `\ufeff${TEXT}`));
  t.equal(parseNote(note).text, `\ufeff${TEXT}`);
  t.throws(() => openNote(note, [peter]), { code: 'NOTE_SIGNATURE_WRONG' });
});

t.test('what is signed is what is opened, empty lines and all', async () => {
  const log = newNoteSigner('log.example', 'ed25519');
  const witness = newNoteSigner('witness.example', 'cosignature/v1');
  const line = fc.oneof(
    fc.constantFrom('', '— a b', '— log.example x08go/ZJkuBS9UG/'),
    fc.string({ unit: 'grapheme' }),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(line, { minLength: 1, maxLength: 6 }),
      fc.integer({ min: 1, max: 2 ** 40 }),
      async (lines, at) => {
        const text = lines.map((one) => `${one.replaceAll(/\p{Cc}/gu, '')}\n`).join('');
        const signatures = [await signNote(text, log), await cosignNote(text, witness, at)];
        const note = openNote(Buffer.from(formatNote({ text, signatures })), [log.key, witness.key]);
        return note.text === text && note.verified[1]?.timestamp === at && note.verified.length === 2;
      },
    ),
    { numRuns: 100 },
  );
});

t.test('a note is not made of what cannot be read back', async (t) => {
  const log = newNoteSigner('log.example', 'ed25519');
  const signature = await signNote(TEXT, log);
  for (const text of ['', 'a', 'a\r\n', 'a\ud800\n']) {
    await t.rejects(signNote(text, log), { code: 'MALFORMED' });
    t.throws(() => formatNote({ text, signatures: [signature] }), { code: 'MALFORMED' });
  }
  for (const change of [{ name: 'a b' }, { name: '' }, { signature: Buffer.alloc(0) }, { name: 'a\x02' }]) {
    t.throws(() => formatNote({ text: TEXT, signatures: [{ ...signature, ...change }] }), { code: 'MALFORMED' });
  }
  t.throws(() => formatNote({ text: TEXT, signatures: [] }), { code: 'MALFORMED' });
  t.throws(() => formatNote({ text: TEXT, signatures: new Array(101).fill(signature) }), { code: 'MALFORMED' });
});

t.test('a signer that answers wrongly publishes nothing', async (t) => {
  const log = newNoteSigner('log.example', 'ed25519');
  const other = newNoteSigner('log.example', 'ed25519');
  await t.rejects(signNote(TEXT, { key: log.key, sign: other.sign }), { code: 'NOTE_SIGNATURE_WRONG' });
  await t.rejects(signNote(TEXT, { key: log.key, sign: async () => Buffer.alloc(63) }), {
    code: 'NOTE_SIGNATURE_WRONG',
  });
  await t.rejects(cosignNote(TEXT, log, 1), { code: 'MALFORMED' }, 'a log does not cosign');
  await t.rejects(signNote(TEXT, newNoteSigner('w', 'cosignature/v1')), { code: 'MALFORMED' });
  const failure = new Error('throttled');
  await t.rejects(signNote(TEXT, { key: log.key, sign: () => Promise.reject(failure) }), failure);
});

t.test('openssl agrees with a signature', async (t) => {
  const log = newNoteSigner('log.example', 'ed25519');
  const { signature } = await signNote(TEXT, log);
  const directory = t.testdir();
  const [key, data, sig] = [join(directory, 'key.pem'), join(directory, 'text'), join(directory, 'signature')];
  writeFileSync(key, log.key.publicKey.key.export({ format: 'pem', type: 'spki' }));
  writeFileSync(data, TEXT);
  writeFileSync(sig, signature);
  const args = ['pkeyutl', '-verify', '-rawin', '-pubin', '-inkey', key, '-in', data, '-sigfile', sig];
  t.match(execFileSync('openssl', args, { encoding: 'utf8' }), /Signature Verified Successfully/);
  writeFileSync(data, `${TEXT}.`);
  t.throws(() => execFileSync('openssl', args, { stdio: 'pipe' }));
});
