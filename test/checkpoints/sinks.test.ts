import { createHmac, randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';

import { fileSink } from '../../src/checkpoints/sinks/file.ts';
import { s3Sink } from '../../src/checkpoints/sinks/s3.ts';
import { webhookSink } from '../../src/checkpoints/sinks/webhook.ts';
import { witnessSink } from '../../src/checkpoints/sinks/witness.ts';
import type { StoredNote } from '../../src/checkpoints/store.ts';
import { formatCheckpoint } from '../../src/transparency/checkpoint.ts';
import { memoryTree } from '../../src/transparency/memory-tree.ts';
import { leafHash } from '../../src/transparency/merkle.ts';
import { formatNote } from '../../src/transparency/note.ts';
import { openNote } from '../../src/transparency/open-note.ts';
import { cosignNote, signNote } from '../../src/transparency/sign-note.ts';
import { bucket } from '../support/bucket.ts';
import { type Answered, type Received, receiver } from '../support/receiver.ts';
import { witness } from '../support/witness.ts';
import { newNoteSigner } from '../transparency/support/note-keys.ts';

const NOW = Date.parse('2026-03-04T05:06:07.000Z');
const log = newNoteSigner('castellan.test/log', 'ed25519');
const other = newNoteSigner('witness.example/other', 'cosignature/v1');
const treeOf = (size: number, name = 'entry') =>
  memoryTree(Array.from({ length: size }, (_, index) => leafHash(Buffer.from(`${name} ${index}`))));
const never = new AbortController().signal;

async function noteOver(size: number, name?: string, cosigned = false): Promise<StoredNote> {
  const text = formatCheckpoint({ origin: log.key.name, size, rootHash: treeOf(size, name).root });
  const lines = [await signNote(text, log), ...(cosigned ? [await cosignNote(text, other, 1_800_000_000)] : [])];
  return { size, createdAt: new Date(NOW), signerId: 'checkpoint-1', note: formatNote({ text, signatures: lines }) };
}

async function directory(t: Test): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'castellan-test-sink-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  return join(dir, 'made', 'by-the-sink');
}

t.test('file: the newest and every size, whole, and never another history', async (t) => {
  const dir = await directory(t);
  const sink = fileSink(dir);
  const deliver = (note: StoredNote) => sink.deliver(note, never);
  const newest = () => readFile(join(dir, 'checkpoint'), 'utf8');
  const [three, five] = [await noteOver(3), await noteOver(5)];
  await deliver(three);
  await deliver(five);
  t.equal(await newest(), five.note);
  await deliver(three);
  t.equal(await newest(), five.note, 'another replica that is behind');
  t.strictSame((await readdir(join(dir, 'notes'))).sort(), ['3', '5']);
  t.strictSame((await readdir(dir)).sort(), ['checkpoint', 'notes'], 'nothing unfinished');

  const cosigned = await noteOver(5, undefined, true);
  await deliver(cosigned);
  await deliver(five);
  t.equal(await newest(), cosigned.note, 'lines of witnesses are not lost');
  t.equal(await readFile(join(dir, 'notes', '5'), 'utf8'), cosigned.note);

  await t.rejects(deliver(await noteOver(4)), { code: 'SINK_FAILED' }, 'a log that was put back');
  await t.rejects(deliver(await noteOver(5, 'rewritten')), { code: 'SINK_FAILED' }, 'another log of the same size');
  await t.rejects(deliver(await noteOver(3, 'rewritten')), { code: 'SINK_FAILED' });
  t.equal(await newest(), cosigned.note);
  await writeFile(join(dir, 'checkpoint'), 'not a note');
  await t.rejects(deliver(await noteOver(6)), { code: 'MALFORMED' }, 'what is not ours is not written over');
});

const S3 = {
  region: 'eu-central-1',
  accessKeyId: 'AKIDEXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
};

t.test('s3: signed, with digests, and locked', async (t) => {
  const there = await bucket(t, { ...S3, sessionToken: 'a token/of+a=session' });
  const { region, ...credentials } = S3;
  const config = {
    url: `${there.url}/evidence/castellan/`,
    region,
    credentials: { ...credentials, sessionToken: 'a token/of+a=session' },
    lockMode: 'COMPLIANCE' as const,
    retentionDays: 30,
  };
  const note = await noteOver(41);
  const sink = s3Sink(config, () => NOW);
  await sink.deliver(note, never);
  await sink.deliver(note, never);
  const version = { body: note.note, mode: 'COMPLIANCE', until: '2026-04-03T05:06:07.000Z' };
  t.strictSame([...there.objects], [['/evidence/castellan/checkpoint-0000000000000041', [version, version]]]);

  const wrong = { ...config, credentials: { ...config.credentials, secretAccessKey: 'x' } };
  await t.rejects(s3Sink(wrong, () => NOW).deliver(note, never), /403 SignatureDoesNotMatch/);
  await t.rejects(s3Sink({ ...config, region: 'us-east-1' }, () => NOW).deliver(note, never), /403/);
  there.instead = () => ({ status: 307, headers: { location: 'http://169.254.169.254/' } });
  await t.rejects(sink.deliver(note, never), { code: 'SINK_FAILED', message: /307/ }, 'redirects are not followed');
});

t.test('webhook: signed over id, time and body', async (t) => {
  const secret = randomBytes(32).toString('base64');
  const got: Received[] = [];
  let answer: Answered = { status: 204 };
  const url = await receiver(t, (request) => {
    got.push(request);
    return answer;
  });
  const sink = webhookSink({ url: `${url}/hook`, secret }, () => NOW);
  const note = await noteOver(7);
  await sink.deliver(note, never);
  await sink.deliver(note, never);
  await sink.deliver(await noteOver(7, undefined, true), never);
  for (const { headers, body } of got) {
    const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`;
    const mac = createHmac('sha256', Buffer.from(secret, 'base64')).update(signed).digest('base64');
    t.equal(headers['webhook-signature'], `v1,${mac}`);
    t.equal(headers['webhook-timestamp'], `${NOW / 1000}`);
    t.match(JSON.parse(body.toString()), { size: 7, signerId: 'checkpoint-1', createdAt: '2026-03-04T05:06:07.000Z' });
  }
  const ids = got.map(({ headers }) => headers['webhook-id']);
  t.equal(ids[0], ids[1], 'the same note is the same message');
  t.not(ids[1], ids[2], 'a cosigned one is another');
  t.equal(JSON.parse(String(got[0]?.body)).note, note.note);
  for (const refusal of [
    { status: 500 },
    { status: 302, headers: { location: url } },
    { status: 200, body: Buffer.alloc(65_537) },
  ]) {
    answer = refusal;
    await t.rejects(sink.deliver(note, never), { code: 'SINK_FAILED' }, `${refusal.status}`);
  }
  await t.rejects(sink.deliver(note, AbortSignal.abort()), { code: 'SINK_FAILED' });
});

t.test('witness: goes on from what it saw, and is told so', async (t) => {
  const them = await witness(t, log);
  const cosigned: { note: StoredNote; lines: string }[] = [];
  let history = 'entry';
  const sinkOf = () =>
    witnessSink(
      { url: `${them.url}/`, key: them.key },
      {
        consistency: async (from, to) => treeOf(to, history).consistencyProof(from),
        cosigned: async (note, lines) => {
          cosigned.push({ note, lines });
        },
      },
    );
  const sink = sinkOf();
  await sink.deliver(await noteOver(3), never);
  await sink.deliver(await noteOver(8, undefined, true), never);
  await sink.deliver(await noteOver(8), never);
  t.strictSame(them.asked, [
    [0, 3],
    [3, 8],
    [8, 8],
  ]);
  for (const { note, lines } of cosigned) {
    const { verified } = openNote(note.note + lines, [log.key, them.key]);
    t.strictSame(
      verified.map(({ key }) => key.name),
      [log.key.name, them.key.name],
    );
  }
  t.equal(cosigned.length, 3);

  await sinkOf().deliver(await noteOver(9), never);
  t.strictSame(
    them.asked.slice(3),
    [
      [0, 9],
      [8, 9],
    ],
    'a process that knows nothing asks, and is told',
  );

  await t.rejects(sinkOf().deliver(await noteOver(5), never), /more entries/, 'a log that was put back');
  history = 'rewritten';
  await t.rejects(sinkOf().deliver(await noteOver(12, history), never), /inconsistent/, 'a log that was rewritten');
  history = 'entry';
  const refusals: [Answered, RegExp][] = [
    [{ status: 403 }, /untrusted-key/],
    [{ status: 404 }, /unknown-log/],
    [{ status: 503 }, /503/],
    [{ status: 200, body: 'hello\n' }, /no signature/],
    [{ status: 200, body: 'x'.repeat(65_537) }, /too large/],
    [{ status: 409, headers: { 'content-type': 'text/plain' }, body: '9\n' }, /names no size/],
    [{ status: 409, headers: { 'content-type': 'text/x.tlog.size' }, body: '9\n' }, /busy/],
  ];
  for (const [answer, why] of refusals) {
    them.instead = () => answer;
    await t.rejects(sink.deliver(await noteOver(13), never), why);
  }
  t.equal(cosigned.length, 4);
});
