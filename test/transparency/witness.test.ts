import t from 'tap';
import { formatCheckpoint } from '../../src/transparency/checkpoint.ts';
import { memoryTree } from '../../src/transparency/memory-tree.ts';
import { leafHash } from '../../src/transparency/merkle.ts';
import { formatNote, formatSignatureLine } from '../../src/transparency/note.ts';
import { parseVerifierKey } from '../../src/transparency/note-key.ts';
import { openNote } from '../../src/transparency/open-note.ts';
import { cosignNote, signNote } from '../../src/transparency/sign-note.ts';
import { verifyConsistency } from '../../src/transparency/verify-proof.ts';
import { formatAddCheckpoint, parseAddCheckpoint, readWitnessReply } from '../../src/transparency/witness.ts';
import { PETERS_LINE, PUBLIC_CHECKPOINT, PUBLIC_WITNESSES } from './support/known-notes.ts';
import { newNoteSigner } from './support/note-keys.ts';
import { entriesOf } from './support/reference.ts';

const log = newNoteSigner('log.example', 'ed25519');
const witness = newNoteSigner('witness.example/w1', 'cosignature/v1');
const leaves = entriesOf(7).map(leafHash);
const tree = memoryTree(leaves);
const text = formatCheckpoint({ origin: 'log.example', size: 7, rootHash: tree.root });
const ready = signNote(text, log).then((signature) => formatNote({ text, signatures: [signature] }));
const hash = tree.root.toString('base64');

/** The example request of C2SP tlog-witness. */
const REQUEST = `old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=
`;

t.test('the example of the specification', async (t) => {
  const request = parseAddCheckpoint(Buffer.from(REQUEST));
  t.equal(request.oldSize, 20852014);
  t.equal(request.proof.length, 4);
  t.equal(formatAddCheckpoint(request), REQUEST);
});

t.test('a request as it comes from a tree, and the answer', async (t) => {
  const note = await ready;
  for (const oldSize of [0, 3, 7]) {
    const { proof, ...request } = parseAddCheckpoint(
      formatAddCheckpoint({ oldSize, proof: tree.consistencyProof(oldSize), note }),
    );
    t.same(request, { oldSize, note });
    const oldRoot = memoryTree(leaves.slice(0, oldSize)).root;
    t.ok(verifyConsistency({ oldSize, size: 7, oldRoot, root: tree.root, proof }));
  }
  t.equal(openNote(note, [log.key]).text, text);
  const line = formatSignatureLine(await cosignNote(text, witness, 1_795_000_000));
  const answer = readWitnessReply(reply(200, PETERS_LINE + line), note, [witness.key]);
  t.match(answer, { kind: 'cosigned', cosignatures: [{ key: witness.key, timestamp: 1_795_000_000 }] });
});

t.test('the answer that public witnesses gave', async (t) => {
  const body = PUBLIC_CHECKPOINT.slice(PUBLIC_CHECKPOINT.indexOf('— transparency.dev'));
  const keys = PUBLIC_WITNESSES.map(parseVerifierKey);
  const answer = readWitnessReply(reply(200, Buffer.from(body)), PUBLIC_CHECKPOINT, keys);
  t.equal(answer.kind === 'cosigned' && answer.cosignatures.length, 3);
});

t.test('cosignatures that are none', async (t) => {
  const note = await ready;
  const own = await cosignNote(text, witness, 1_795_000_000);
  const other = await cosignNote(text.replace('7', '8'), witness, 1_795_000_000);
  const asLog = formatSignatureLine(await signNote(text, log));
  const read =
    (body: string | Uint8Array, keys = [witness.key]) =>
    () =>
      readWitnessReply(reply(200, body), note, keys);
  t.throws(read(formatSignatureLine(own), []), { code: 'NOTE_UNSIGNED' }, 'of nobody who was asked');
  t.throws(read(asLog, [log.key, witness.key]), { code: 'NOTE_UNSIGNED' }, "the log's own signature sent back");
  t.throws(read(formatSignatureLine(other)), { code: 'NOTE_SIGNATURE_WRONG' }, 'of another checkpoint');
  t.throws(read(''), { code: 'MALFORMED' });
  t.throws(read('\n'), { code: 'MALFORMED' });
  t.throws(read('<html>'), { code: 'MALFORMED' });
  t.throws(read(formatSignatureLine(own).trimEnd()), { code: 'MALFORMED' });
  t.throws(read(Buffer.from([0xff, 10])), { code: 'MALFORMED' });
  t.throws(read(formatSignatureLine(own).repeat(101)), { code: 'MALFORMED' });
  const timeless = Buffer.from(own.signature).fill(0, 0, 8);
  t.throws(read(formatSignatureLine({ ...own, signature: timeless })), { code: 'NOTE_SIGNATURE_WRONG' });
});

t.test('the other answers', async (t) => {
  const note = await ready;
  const read = (status: number, body = '', type?: string) =>
    readWitnessReply({ status, contentType: type, body }, note, []);
  t.same(read(409, '20852014\n', 'text/x.tlog.size'), { kind: 'conflict', size: 20852014 });
  t.same(read(409, '0\n', 'text/x.tlog.size; charset=utf-8'), { kind: 'conflict', size: 0 });
  for (const [body, type] of [
    ['20852014\n', 'text/plain'],
    ['20852014\n', undefined],
    ['20852014\n', 'text/x.tlog.sizes'],
    ['20852014', 'text/x.tlog.size'],
    ['1\n2\n', 'text/x.tlog.size'],
    ['-1\n', 'text/x.tlog.size'],
    ['01\n', 'text/x.tlog.size'],
    ['9007199254740992\n', 'text/x.tlog.size'],
    ['\n', 'text/x.tlog.size'],
  ] as const) {
    t.throws(() => read(409, body, type), { code: 'MALFORMED' }, `${JSON.stringify(body)} as ${type}`);
  }
  t.same(read(400), { kind: 'refused', why: 'bad-request' });
  t.same(read(403), { kind: 'refused', why: 'untrusted-key' });
  t.same(read(404), { kind: 'refused', why: 'unknown-log' });
  t.same(read(422), { kind: 'refused', why: 'inconsistent' });
  for (const status of [201, 302, 429, 500, 503]) t.same(read(status), { kind: 'unavailable', status });
});

t.test('requests that are none', async (t) => {
  const note = await ready;
  const refused: Record<string, string> = {
    nothing: '',
    'a checkpoint only': note,
    'no old size': `\n${note}`,
    'no empty line': `old 3\n${note}`,
    'another word': `new 3\n\n${note}`,
    'two spaces': `old  3\n\n${note}`,
    'a leading zero': `old 03\n\n${note}`,
    'a size that is not exact': `old 9007199254740992\n\n${note}`,
    'a size past the new one': `old 8\n\n${note}`,
    'a proof line that is no hash': `old 3\nAAAA\n\n${note}`,
    'a proof line that is no base64': `old 3\n${hash.replace('=', '!')}\n\n${note}`,
    'a proof of 64 lines': `old 3\n${`${hash}\n`.repeat(64)}\n${note}`,
    'no note': `old 3\n\n${text}`,
    'no checkpoint': `old 3\n\nI am none.\n\n${PETERS_LINE}`,
  };
  for (const [why, body] of Object.entries(refused)) {
    t.throws(() => parseAddCheckpoint(body), { code: 'MALFORMED' }, why);
  }
  t.equal(parseAddCheckpoint(`old 3\n${`${hash}\n`.repeat(63)}\n${note}`).proof.length, 63);

  const [proof, long] = [[tree.root], new Array<Buffer>(64).fill(tree.root)];
  t.throws(() => formatAddCheckpoint({ oldSize: 8, proof, note }), { code: 'OUT_OF_RANGE' });
  t.throws(() => formatAddCheckpoint({ oldSize: -1, proof, note }), { code: 'OUT_OF_RANGE' });
  t.throws(() => formatAddCheckpoint({ oldSize: 0, proof, note }), { code: 'MALFORMED' });
  t.throws(() => formatAddCheckpoint({ oldSize: 3, proof: long, note }), { code: 'MALFORMED' });
  t.throws(() => formatAddCheckpoint({ oldSize: 3, proof: [Buffer.alloc(31)], note }), { code: 'MALFORMED' });
  t.throws(() => formatAddCheckpoint({ oldSize: 3, proof, note: text }), { code: 'MALFORMED' });
});

function reply(status: number, body: string | Uint8Array) {
  return { status, contentType: 'text/plain', body };
}
