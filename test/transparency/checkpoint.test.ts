import t from 'tap';
import { formatCheckpoint, openCheckpoint, parseCheckpoint } from '../../src/transparency/checkpoint.ts';
import { emptyRoot } from '../../src/transparency/merkle.ts';
import { formatNote } from '../../src/transparency/note.ts';
import { parseVerifierKey } from '../../src/transparency/note-key.ts';
import { cosignNote, signNote } from '../../src/transparency/sign-note.ts';
import fc from '../support/fast-check.ts';
import { PUBLIC_CHECKPOINT, PUBLIC_LOG, PUBLIC_WITNESSES } from './support/known-notes.ts';
import { newNoteSigner } from './support/note-keys.ts';

const ORIGIN = 'example.com/behind-the-sofa';
const ROOT = 'CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=';
const rootHash = Buffer.from(ROOT, 'base64');
const log = newNoteSigner('log.example', 'ed25519');
const witness = newNoteSigner('witness.example', 'cosignature/v1');

t.test('the example of the specification', async (t) => {
  const text = `${ORIGIN}\n20852163\n${ROOT}\n`;
  t.same(parseCheckpoint(text), { origin: ORIGIN, size: 20852163, rootHash, extensions: [] });
  t.equal(formatCheckpoint({ origin: ORIGIN, size: 20852163, rootHash }), text);
});

t.test('a checkpoint that a public log and its witnesses signed', async (t) => {
  const origin = 'arche2025h1.staging.ct.transparency.dev';
  const keys = { log: [parseVerifierKey(PUBLIC_LOG)], witnesses: PUBLIC_WITNESSES.map(parseVerifierKey) };
  const { checkpoint, verified, unknown } = openCheckpoint(PUBLIC_CHECKPOINT, origin, keys);
  t.equal(checkpoint.size, 1_432_088_532);
  t.same(
    verified.map(({ timestamp }) => timestamp),
    [undefined, 0x6a122120, 0x6a122120, 0x6a122120],
  );
  t.same(
    unknown.map(({ name }) => name),
    [origin, 'witness.stagemole.eu'],
    'the same name with a key of another kind is unknown',
  );
  const rewritten = PUBLIC_CHECKPOINT.replace('1432088532', '1432088533');
  t.throws(() => openCheckpoint(rewritten, origin, { log: keys.log }), { code: 'NOTE_SIGNATURE_WRONG' });
  const lastLine = keys.witnesses.slice(2);
  t.throws(() => openCheckpoint(rewritten, origin, { log: [], witnesses: lastLine }), { code: 'NOTE_SIGNATURE_WRONG' });
});

t.test('reads back what it writes', async () => {
  const line = fc.string({ unit: 'grapheme', minLength: 1 }).map((text) => `x${text.replaceAll(/\p{Cc}/gu, '')}`);
  const checkpoint = fc.record({
    origin: line,
    size: fc
      .maxSafeNat()
      .map((size) => size + 1)
      .filter(Number.isSafeInteger),
    rootHash: fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes)),
    extensions: fc.array(line, { maxLength: 3 }),
  });
  fc.assert(
    fc.property(checkpoint, (one) => {
      const { origin, size, rootHash, extensions } = parseCheckpoint(formatCheckpoint(one));
      return (
        origin === one.origin &&
        size === one.size &&
        one.rootHash.equals(rootHash) &&
        extensions.join('\n') === one.extensions.join('\n')
      );
    }),
  );
});

t.test('refuses what is no checkpoint', async (t) => {
  const empty = emptyRoot().toString('base64');
  const refused: Record<string, string> = {
    nothing: '',
    'two lines': `${ORIGIN}\n1\n`,
    'an empty origin': `\n1\n${ROOT}\n`,
    'an empty line': `${ORIGIN}\n1\n${ROOT}\n\n`,
    'an empty line before an extension': `${ORIGIN}\n1\n${ROOT}\n\nmore\n`,
    'no end of the last line': `${ORIGIN}\n1\n${ROOT}`,
    'a leading zero': `${ORIGIN}\n01\n${ROOT}\n`,
    'two zeros': `${ORIGIN}\n00\n${empty}\n`,
    'a sign': `${ORIGIN}\n+1\n${ROOT}\n`,
    'less than nothing': `${ORIGIN}\n-1\n${ROOT}\n`,
    'an exponent': `${ORIGIN}\n1e3\n${ROOT}\n`,
    hexadecimal: `${ORIGIN}\n0x10\n${ROOT}\n`,
    'a space': `${ORIGIN}\n1 \n${ROOT}\n`,
    'digits of another script': `${ORIGIN}\n١\n${ROOT}\n`,
    'a size that is not exact': `${ORIGIN}\n9007199254740992\n${ROOT}\n`,
    'a size past 64 bits': `${ORIGIN}\n${'9'.repeat(30)}\n${ROOT}\n`,
    'a short root': `${ORIGIN}\n1\n${ROOT.slice(4)}\n`,
    'a long root': `${ORIGIN}\n1\nAAAA${ROOT}\n`,
    'a root without padding': `${ORIGIN}\n1\n${ROOT.replace('=', '')}\n`,
    'a root with loose bits': `${ORIGIN}\n1\n${ROOT.replace('2I=', '2J=')}\n`,
    'an empty tree with the root of another': `${ORIGIN}\n0\n${ROOT}\n`,
    'a control character': `${ORIGIN}\x07\n1\n${ROOT}\n`,
    'line ends of Windows': `${ORIGIN}\r\n1\r\n${ROOT}\r\n`,
  };
  for (const [why, text] of Object.entries(refused)) t.throws(() => parseCheckpoint(text), { code: 'MALFORMED' }, why);
  t.equal(parseCheckpoint(`${ORIGIN}\n0\n${empty}\n`).size, 0);
  t.equal(parseCheckpoint(`${ORIGIN}\n9007199254740991\n${ROOT}\n`).size, Number.MAX_SAFE_INTEGER);
  for (const change of [
    { origin: '' },
    { origin: 'a\nb' },
    { origin: `a\n1\n${ROOT}` },
    { size: -1 },
    { size: 1.5 },
    { size: 2 ** 53 },
    { size: 0 },
    { rootHash: rootHash.subarray(1) },
    { extensions: [''] },
    { extensions: ['a\nb'] },
  ]) {
    const wrong = { origin: ORIGIN, size: 1, rootHash, ...change };
    t.throws(() => formatCheckpoint(wrong), { code: 'MALFORMED' }, JSON.stringify(change));
  }
});

t.test('is believed of its own log only', async (t) => {
  const text = formatCheckpoint({ origin: ORIGIN, size: 7, rootHash });
  const [own, seen] = [await signNote(text, log), await cosignNote(text, witness, 1_795_000_000)];
  const keys = { log: [log.key], witnesses: [witness.key] };
  const note = formatNote({ text, signatures: [own, seen] });
  t.equal(openCheckpoint(note, ORIGIN, keys).verified.length, 2);
  t.equal(openCheckpoint(note, ORIGIN, { log: [log.key] }).verified.length, 1, 'witnesses nobody asked for');

  const witnessed = formatNote({ text, signatures: [seen] });
  t.throws(() => openCheckpoint(witnessed, ORIGIN, keys), { code: 'NOTE_UNSIGNED' }, 'a witness is not the log');
  t.throws(() => openCheckpoint(note, `${ORIGIN}2`, keys), { code: 'MALFORMED' }, 'another log');
  const crossed = { log: [witness.key], witnesses: [log.key] };
  t.throws(() => openCheckpoint(note, ORIGIN, crossed), { code: 'MALFORMED' });
  const prose = 'I am no checkpoint.\n';
  const signedProse = formatNote({ text: prose, signatures: [await signNote(prose, log)] });
  t.throws(() => openCheckpoint(signedProse, ORIGIN, keys), { code: 'MALFORMED' });
});

t.test('the time of a cosignature is signed', async (t) => {
  const text = formatCheckpoint({ origin: ORIGIN, size: 7, rootHash, extensions: ['more'] });
  const [own, seen] = [await signNote(text, log), await cosignNote(text, witness, 1_795_000_000)];
  const keys = { log: [log.key], witnesses: [witness.key] };
  const times = [0n, 1n, 1_795_000_001n, 2n ** 53n, 2n ** 64n - 1n];
  for (const time of times) {
    const signature = Buffer.from(seen.signature);
    signature.writeBigUInt64BE(time);
    const note = formatNote({ text, signatures: [own, { ...seen, signature }] });
    t.throws(() => openCheckpoint(note, ORIGIN, keys), { code: 'NOTE_SIGNATURE_WRONG' }, `${time}`);
  }
  for (const time of [0n, 2n ** 53n]) {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64BE(time);
    const signature = Buffer.concat([bytes, await witness.sign(Buffer.from(`cosignature/v1\ntime ${time}\n${text}`))]);
    const note = formatNote({ text, signatures: [own, { ...seen, signature }] });
    t.throws(
      () => openCheckpoint(note, ORIGIN, keys),
      { code: 'NOTE_SIGNATURE_WRONG' },
      `${time}, signed by the witness`,
    );
  }
  const later = await cosignNote(text, witness, 1_795_000_060);
  const twice = openCheckpoint(formatNote({ text, signatures: [own, seen, later] }), ORIGIN, keys);
  t.same(
    twice.verified.map(({ timestamp }) => timestamp),
    [undefined, 1_795_000_000],
    'one for each key, its first',
  );
  const short = { ...seen, signature: seen.signature.subarray(0, 8) };
  const note = formatNote({ text, signatures: [own, short] });
  t.throws(() => openCheckpoint(note, ORIGIN, keys), { code: 'NOTE_SIGNATURE_WRONG' }, 'a time and no signature');
  for (const time of [0, -1, 1.5, 2 ** 53]) {
    await t.rejects(cosignNote(text, witness, time), { code: 'OUT_OF_RANGE' }, `${time}`);
  }
});
