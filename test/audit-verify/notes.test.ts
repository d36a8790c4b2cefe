import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import pg from 'pg';
import t, { type Test } from 'tap';
import { formatSignatureLine } from '../../src/transparency/note.ts';
import { formatVerifierKey } from '../../src/transparency/note-key.ts';
import { cosignNote } from '../../src/transparency/sign-note.ts';
import { testDatabase } from '../support/database.ts';
import { newNoteSigner } from '../transparency/support/note-keys.ts';
import { testSigner } from './support/keys.ts';
import { runVerify, verifyHere } from './support/run.ts';
import { audit, checkpoint, noteOver, store, verifierKey, type World, worldOf } from './support/world.ts';

const database = await testDatabase(t);
const url = database.superuserUrl;
const client = new pg.Client({ connectionString: url });
await client.connect();
t.teardown(() => client.end());

const steps = (count: number) => Array.from({ length: count }, () => ({ signer: audit }));
const rounds = [
  new Map([['one', 3]]),
  new Map([
    ['one', 5],
    ['two', 1],
  ]),
];
const world: World = worldOf(
  new Map([
    ['one', steps(6)],
    ['two', steps(2)],
  ]),
  rounds,
);
const newest = world.notes.at(-1)?.text ?? '';

t.before(() => store(client, world));

t.test('what a note from outside makes of the answer', async (t) => {
  const note = file(t, newest);
  const anchored = await verifyHere(['--database-url', url, '--checkpoint', note]);
  t.match(anchored, { verdict: 'ok', report: { strength: 'anchored', events: 8, findings: [] } });
  const text = await runVerify(['--database-url', url, '--checkpoint', note]);
  t.equal(text.code, 0);
  t.match(text.out, /\nstrength anchored: 6 of 8 events are under a checkpoint from outside; .*another log/);

  const keyed = await verifyHere([
    '--database-url',
    url,
    '--checkpoint',
    note,
    '--checkpoint-key',
    verifierKey(checkpoint),
  ]);
  t.match(keyed, { verdict: 'ok', report: { strength: 'anchored' } });

  const one = await verifyHere(['--database-url', url, '--checkpoint', note, '--chain', 'two']);
  t.match(one, { verdict: 'ok', report: { strength: 'anchored', events: 2 } });
  const early = await verifyHere([
    '--database-url',
    url,
    '--checkpoint',
    file(t, world.notes[0]?.text ?? ''),
    '--chain',
    'two',
  ]);
  t.match(early, { verdict: 'ok', report: { strength: 'internal' }, notes: /no event verified here is under/ });
});

t.test('a witness that is known makes it witnessed, one that is not does not', async (t) => {
  const witness = newNoteSigner('witness.test', 'cosignature/v1');
  const text = newest.slice(0, newest.indexOf('\n\n') + 1);
  const note = file(t, `${newest}${formatSignatureLine(await cosignNote(text, witness, 1_780_000_000))}`);
  const argv = ['--database-url', url, '--checkpoint', note];
  const known = await runVerify([...argv, '--witness-key', formatVerifierKey(witness.key)]);
  t.match(known.out, /^ok: strength witnessed, .*\nstrength witnessed: .*Cosigned by witness\.test/);
  const other = formatVerifierKey(newNoteSigner('other.test', 'cosignature/v1').key);
  t.match(await verifyHere([...argv, '--witness-key', other]), { report: { strength: 'anchored' } });
  t.match(await verifyHere(argv), { report: { strength: 'anchored' } });
  const stolen = formatVerifierKey(newNoteSigner('witness.test', 'cosignature/v1').key);
  t.match(await verifyHere([...argv, '--witness-key', stolen]), { report: { strength: 'anchored' } }, 'another key ID');
});

t.test('a note that vouches for nothing is never passed over', async (t) => {
  const flipped = newest.replace(/(— log\.test .{20})(.)/, (_, head, one) => `${head}${one === 'A' ? 'B' : 'A'}`);
  const stranger = testSigner('stranger');
  const cases: [why: string, text: string, message: RegExp][] = [
    ['wrong signature', flipped, /does not verify/],
    ['cut', newest.slice(0, -20), /a line that is no signature|does not end/],
    ['cut before its signatures', newest.slice(0, newest.indexOf('\n\n')), /no empty line/],
    ['empty', '', /no empty line/],
    [
      'signed by nobody known',
      noteOver(world.entries, { ...stranger, purpose: 'checkpoint' }).text,
      /not signed|no signature/,
    ],
    ['signed by a key of another purpose', noteOver(world.entries, audit).text, /not signed|no signature/],
    [
      'another origin',
      noteOver(world.entries, checkpoint, 'other.test').text,
      /is of the log other\.test, not log\.test/,
    ],
  ];
  for (const [why, text, message] of cases) {
    const { code, out, err } = await runVerify(['--database-url', url, '--checkpoint', file(t, text)]);
    t.strictSame({ code, out }, { code: 2, out: '' }, why);
    t.match(err, message, why);
  }
  const key = ['--checkpoint-key', verifierKey(stranger, 'other.test')];
  const elsewhere = await runVerify(['--database-url', url, '--checkpoint', file(t, newest), ...key]);
  t.equal(elsewhere.code, 2);
  t.match(elsewhere.err, /is of the log log\.test, not of other\.test/);
  t.equal((await runVerify(['--database-url', url, '--checkpoint', join(t.testdirName, 'absent')])).code, 3);
});

t.test('notes that this log does not fit', async (t) => {
  const beyond = noteOver([...world.entries, ...world.entries], checkpoint);
  t.match(await verifyHere(['--database-url', url, '--checkpoint', file(t, beyond.text)]), {
    verdict: 'tampered',
    report: { strength: 'anchored', findings: [{ chain: '*', seq: 4, class: 'backup-restored' }] },
  });
  const another = worldOf(
    new Map([
      ['one', steps(6)],
      ['two', steps(2)],
    ]),
    rounds,
  );
  t.match(await verifyHere(['--database-url', url, '--checkpoint', file(t, another.notes[1]?.text ?? '')]), {
    verdict: 'tampered',
    report: { strength: 'anchored', findings: [{ chain: '*', seq: 1, class: 'history-rewritten' }] },
  });
  const older = file(t, world.notes[0]?.text ?? '');
  const both = ['--checkpoint', older, '--checkpoint', file(t, another.notes[1]?.text ?? '')];
  t.match((await verifyHere(['--database-url', url, ...both])).report.findings, [
    { chain: '*', seq: 2, class: 'history-rewritten' },
  ]);
});

t.test('a checkpoint key that was revoked or compromised vouches for nothing from outside', async (t) => {
  await client.query(`UPDATE signers SET state = 'compromised', revoked_at = now() WHERE purpose = 'checkpoint'`);
  t.equal((await runVerify(['--database-url', url, '--checkpoint', file(t, newest)])).code, 2);
  t.match(await verifyHere(['--database-url', url]), { verdict: 'ok' }, 'its own older notes are no alarm');
  await client.query(`UPDATE signers SET state = 'active', revoked_at = NULL WHERE purpose = 'checkpoint'`);
});

t.test('usage', async (t) => {
  const note = file(t, newest);
  for (const argv of [
    ['--checkpoint', note, '--from', '2'],
    ['--state', 'x', '--from', '2'],
    ['--checkpoint-key', verifierKey(checkpoint)],
    ['--checkpoint', note, '--checkpoint-key', 'log.test+00000000+AAAA'],
    ['--checkpoint', note, '--witness-key', verifierKey(checkpoint)],
    ['--tiles', '.', '--export', 'x', '--signers', 'y'],
  ]) {
    const { code } = await runVerify(['--database-url', url, ...argv].slice(argv.includes('--tiles') ? 2 : 0));
    t.equal(code, 64, argv.join(' '));
  }
  t.equal((await runVerify(['--export', 'x', '--signers', 'y', '--checkpoint', note])).code, 64);
});

t.test('openssl agrees about the signature of a note', async (t) => {
  const split = newest.indexOf('\n\n');
  const line = /— log\.test (\S+)\n/.exec(newest)?.[1] ?? '';
  const verify = (text: string) => {
    const inputs = ['-in', file(t, text), '-sigfile', file(t, Buffer.from(line, 'base64').subarray(4))];
    const key = file(t, checkpoint.publicKey ?? '');
    return spawnSync('openssl', ['pkeyutl', '-verify', '-pubin', '-inkey', key, '-rawin', ...inputs]).status;
  };
  t.equal(verify(newest.slice(0, split + 1)), 0);
  t.not(verify(`x${newest.slice(1, split + 1)}`), 0);
});

let count = 0;
function file(t: Test, content: string | Buffer): string {
  count += 1;
  const path = join(directoryOf(t), `file-${count}`);
  writeFileSync(path, content);
  return path;
}

const directories = new Map<Test, string>();
function directoryOf(t: Test): string {
  const known = directories.get(t) ?? t.testdir();
  directories.set(t, known);
  return known;
}
