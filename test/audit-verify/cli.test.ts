import { spawnSync } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';

import pg from 'pg';
import t from 'tap';

import { auditVerify } from '../../src/cli/audit-verify.ts';
import { startProgress } from '../../src/cli/progress.ts';
import { testDatabase } from '../support/database.ts';
import { inModes } from './support/batches.ts';
import { history, insertChain, insertSigner, type Row } from './support/history.ts';
import { signedBytes, testSigner } from './support/keys.ts';
import { runExport, runVerify, sink, verifyJson } from './support/run.ts';

const MAIN = fileURLToPath(new URL('support/main.ts', import.meta.url));

const database = await testDatabase(t);
const url = database.superuserUrl;
const client = new pg.Client({ connectionString: url });
await client.connect();
t.teardown(() => client.end());
const ed = testSigner('ed');
const rows = history('cli', [{ signer: ed }, { signer: ed }, { signer: ed }]);

t.test('an empty log is never 0', async (t) => {
  const { code, report, err } = await verifyJson(['--database-url', url]);
  t.equal(code, 2);
  t.strictSame(report, { ok: false, strength: 'internal', events: 0, signatures: 0, findings: [] });
  t.match(err, /nothing is verified/);
  t.equal((await runExport(['--database-url', url])).code, 2);
});

t.test('the output for people and for machines', async (t) => {
  await insertSigner(client, ed);
  await insertChain(client, rows);
  const people = await runVerify([], { DATABASE_URL: url });
  t.equal(people.code, 0);
  t.match(
    people.out,
    /^ok: strength internal, 3 events, 3 signatures, 0 findings, \d+ events\/s\nstrength internal: nothing outside .*\n$/,
  );
  t.equal(people.err, '');
  const file = join(t.testdir(), 'url');
  writeFileSync(file, `${url}\n`);
  const machine = await runVerify(['--json'], { DATABASE_URL_FILE: file });
  t.equal(machine.out, '{"ok":true,"strength":"internal","events":3,"signatures":3,"findings":[]}\n');
  t.equal((await runVerify(['--chain', 'nobody'], { DATABASE_URL: url })).code, 2);
});

t.test('usage is 64 and says so', async (t) => {
  for (const argv of [
    ['--no-such-option'],
    ['word'],
    ['--from', '0'],
    ['--from', '1.5'],
    ['--chain', '../x'],
    ['--export', 'x.jsonl'],
    ['--export', 'x.jsonl', '--signers', 's.json', '--database-url', url],
    [],
  ]) {
    const { code, err } = await runVerify(argv);
    t.equal(code, 64, argv.join(' '));
    t.match(err, /Usage: castellan audit verify/);
  }
  t.equal((await runExport([])).code, 64);
  const help = await runVerify(['--help']);
  t.equal(help.code, 0);
  t.match(help.out, /Exit codes: 0 ok, 1 tampered, 2 incomplete/);
  t.equal((await runExport(['--help'])).code, 0);
});

t.test('what cannot be read is 3, without the password', async (t) => {
  const dir = t.testdir({
    'bad.json': '{"signers":[{}]}',
    'signers.json': '{"signers":[]}',
    'bad.jsonl': '{"chain":"x"}\n',
  });
  const at = (name: string) => join(dir, name);
  const unreachable = await runVerify(['--database-url', 'postgres://someone:hunter2@127.0.0.1:1/none']);
  t.equal(unreachable.code, 3);
  t.notMatch(unreachable.err, /hunter2/);
  t.equal((await runVerify(['--database-url', url, '--signers', at('bad.json')])).code, 3);
  t.equal((await runVerify(['--database-url', url, '--signers', at('absent.json')])).code, 3);
  t.equal((await runVerify(['--export', at('absent.jsonl'), '--signers', at('signers.json')])).code, 3);
  const line = await runVerify(['--export', at('bad.jsonl'), '--signers', at('signers.json')]);
  t.equal(line.code, 3);
  t.match(line.err, /line 1 is no event/);
});

t.test('damage in an export', async (t) => {
  const { privateKey, ...entry } = ed;
  const signers = join(t.testdir({ 'signers.json': JSON.stringify({ signers: [entry] }) }), 'signers.json');
  const { out } = await runExport(['--database-url', url, '--chain', 'cli']);
  const lines = out.trimEnd().split('\n');
  const verify = async (changed: (string | undefined)[]) => {
    const file = join(t.testdirName, 'log.jsonl');
    writeFileSync(file, `${changed.join('\n')}\n`);
    const { code, report } = await verifyJson(['--export', file, '--signers', signers]);
    return [code, ...report.findings.map(({ class: name, seq }) => `${seq} ${name}`)];
  };
  t.strictSame(await verify(lines), [0]);
  t.strictSame(await verify([lines[0], lines[2]]), [1, '2 gap']);
  t.strictSame(await verify([lines[0], lines[2], lines[1]]), [1, '2 reordered']);
  t.strictSame(await verify([...lines, lines[0]]), [1, '1 replayed']);
  t.strictSame(await verify([...lines.slice(0, 2), lines[2]?.replace('"agent.created"', '"agent.deleted"')]), [
    1,
    '3 projection-edited',
  ]);
  const stranger = join(t.testdirName, 'none.json');
  writeFileSync(stranger, '{"signers":[]}');
  appendFileSync(join(t.testdirName, 'log.jsonl'), '');
  t.equal((await runVerify(['--export', join(t.testdirName, 'log.jsonl'), '--signers', stranger])).code, 1);
});

t.test('shared keys are unverifiable in either mode, so 2', async (t) => {
  const secret = Buffer.alloc(32, 7);
  const hmac = { ...testSigner('hmac'), alg: 'HMAC-SHA256' as const, publicKey: null };
  await insertSigner(client, hmac);
  const shared = history('hmac', [{ signer: hmac }, { signer: hmac }]).map((row): Row => {
    return { ...row, signature: createHmac('sha256', secret).update(signedBytes(row.hash)).digest('base64') };
  });
  await insertChain(client, shared);
  const hmacRun = await verifyJson(['--database-url', url, '--chain', 'hmac']);
  t.equal(hmacRun.code, 2);
  t.strictSame(hmacRun.report.findings, []);
  t.match(hmacRun.err, /2 events could not be verified: signed with a shared key/);

  const batch = history(
    'batch',
    inModes(
      [
        { signer: hmac, tx: 1 },
        { signer: hmac, tx: 1 },
      ],
      [1],
    ),
  );
  await insertChain(client, batch);
  const batchRun = await verifyJson(['--database-url', url, '--chain', 'batch']);
  t.equal(batchRun.code, 2);
  t.strictSame(batchRun.report.findings, []);
  t.match(batchRun.err, /3 events could not be verified: signed with a shared key/);
  const whole = await verifyJson(['--database-url', url]);
  t.equal(whole.code, 2, 'verifiable chains beside them do not make it 0');
});

t.test('many findings are counted, and 1,000 of a class listed', async (t) => {
  const many = history(
    'many',
    Array.from({ length: 1100 }, () => ({ signer: ed })),
  );
  await insertChain(
    client,
    many.map((row) => ({ ...row, eventType: 'x' })),
  );
  const { code, report, err } = await verifyJson(['--database-url', url, '--chain', 'many']);
  t.equal(code, 1);
  t.equal(report.findings.length, 1000);
  t.match(err, /100 findings are not listed; in all: 1100 projection-edited/);
});

t.test('names from the log cannot steer the terminal', async (t) => {
  const odd = history('odd\u001b[2J', [{ signer: ed }]).map((row) => ({ ...row, signature: '' }));
  await client.query('SET session_replication_role = replica');
  await client.query('ALTER TABLE workspaces DROP CONSTRAINT workspaces_id_check');
  await insertChain(client, odd);
  const { code, out } = await runVerify(['--database-url', url]);
  t.equal(code, 1);
  t.notOk(out.includes('\u001b'));
  t.match(out, /^odd\?\[2J 1 signature-missing /m);
});

t.test('as a process', async (t) => {
  const run = (argv: string[]) =>
    spawnSync(process.execPath, [MAIN, ...argv], { encoding: 'utf8', env: { PATH: process.env['PATH'] } });
  const good = run(['--database-url', url, '--chain', 'cli', '--json']);
  t.equal(good.status, 0);
  t.equal(JSON.parse(good.stdout).ok, true);
  t.equal(run(['--database-url', url, '--chain', 'many']).status, 1);
  t.equal(run(['--database-url', url, '--chain', 'hmac']).status, 2);
  t.equal(run(['--export', 'absent', '--signers', 'absent']).status, 3);
  t.equal(run(['--nonsense']).status, 64);
});

t.test('progress goes to a terminal only', async (t) => {
  let drawn = '';
  let time = 0;
  const stream = new Writable({
    write(chunk, _encoding, done) {
      drawn += chunk;
      done();
    },
  });
  const terminal = startProgress(Object.assign(stream, { isTTY: true }), () => time);
  time = 1000;
  terminal.update(5000, 0.5);
  terminal.update(5100, 0.51);
  terminal.end();
  t.match(drawn, /^\r\[#{15}\.{15}\] 5000 events, 5000\/s 1 s left/);
  t.equal(drawn.split('events').length, 2, 'not drawn again at once');
  time = 2000;
  terminal.update(5100, 0.01);
  t.match(drawn, / 3 min 18 s left/);
  time = 50_000;
  terminal.update(5200, 0.01);
  t.match(drawn, / 1 h 22 min left/);
  const [out, err] = [sink(), sink()];
  const env = { DATABASE_URL: url };
  await auditVerify(['--chain', 'cli'], { env, stdout: out.stream, stderr: err.stream });
  t.equal(err.text(), '');
});

t.test('openssl agrees about the signature of a stored event', async (t) => {
  const [row] = rows;
  const dir = t.testdir();
  const files = { message: join(dir, 'message'), signature: join(dir, 'signature'), key: join(dir, 'key.pem') };
  const stored = await client.query('SELECT hash, signature FROM audit_events WHERE chain = $1 AND seq = 1', ['cli']);
  writeFileSync(files.message, signedBytes(stored.rows[0].hash));
  writeFileSync(files.signature, Buffer.from(stored.rows[0].signature, 'base64'));
  writeFileSync(files.key, ed.publicKey ?? '');
  const verify = () =>
    spawnSync('openssl', [
      'pkeyutl',
      '-verify',
      '-pubin',
      '-inkey',
      files.key,
      '-rawin',
      '-in',
      files.message,
      '-sigfile',
      files.signature,
    ]);
  t.equal(verify().status, 0);
  t.equal(row?.hash, stored.rows[0].hash);
  const message = readFileSync(files.message);
  message[message.length - 1] = (message.at(-1) ?? 0) ^ 1;
  writeFileSync(files.message, message);
  t.not(verify().status, 0);
});
