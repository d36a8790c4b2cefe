import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';

import { verificationKey } from '../../src/crypto/verify.ts';
import { formatVerifierKey, noteKey } from '../../src/transparency/note-key.ts';
import { openNote } from '../../src/transparency/open-note.ts';
import { testDatabase } from '../support/database.ts';
import { until } from '../support/process.ts';
import { receiver } from '../support/receiver.ts';
import { testService } from '../support/service.ts';
import { witness } from '../support/witness.ts';
import { newNoteSigner } from '../transparency/support/note-keys.ts';

const ORIGIN = 'castellan.test/log';

t.test('a note goes to every sink, and what a witness adds goes to all others and into the database', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'castellan-test-sink-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  // The witness must know the log's key before the service that has it is there.
  const known = { key: newNoteSigner(ORIGIN, 'ed25519').key };
  const them = await witness(t, known);
  const hook = await receiver(t, () => ({ status: 500 }));
  const { database, service } = await testService(t, {
    checkpoints: {
      sinks: {
        file: dir,
        s3: undefined,
        webhook: { url: hook, secret: Buffer.alloc(32).toString('base64') },
        witnesses: [{ url: them.url, verifierKey: formatVerifierKey(them.key) }],
      },
    },
  });
  const { rows } = await database.query(`SELECT * FROM signers WHERE purpose = 'checkpoint'`);
  t.match(rows, [{ signer_id: 'checkpoint-1', alg: 'Ed25519', state: 'active' }], 'registered at boot');
  known.key = noteKey(ORIGIN, 'ed25519', verificationKey('Ed25519', rows[0].public_key));

  await service.app.checkpoints?.round();
  const file = () => readFile(join(dir, 'checkpoint'), 'utf8').catch(() => '');
  await until('the cosigned note is in the file', async () => (await file()).includes(them.key.name));
  const stored = await database.query('SELECT note FROM audit_checkpoints');
  t.strictSame(stored.rows, [{ note: await file() }]);
  t.equal(openNote(await file(), [known.key, them.key]).verified.length, 2);

  const metrics = async () => (await fetch(`${service.opsUrl}/metrics`)).text();
  await until('the webhook has failed', async () =>
    /checkpoint_deliveries_total\{sink="webhook",outcome="failed"\} [1-9]/.test(await metrics()),
  );
  t.match(await metrics(), /^castellan_checkpoint_delivered_size\{sink="file"\} [1-9]/m);
  t.match(await metrics(), /^castellan_checkpoint_delivered_size\{sink="witness:witness.example\/w1"\} [1-9]/m);
  t.match(await metrics(), /^castellan_checkpoint_size [1-9]/m);
});

t.test('a process that starts hands on the newest note, which the one before may not have', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'castellan-test-sink-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  const first = await testService(t, { checkpoints: {} });
  await first.service.app.checkpoints?.round();
  const second = await testService(t, {
    replicaOf: first,
    checkpoints: { sinks: { file: dir, s3: undefined, webhook: undefined, witnesses: [] } },
  });
  await second.service.app.checkpoints?.round();
  await second.service.app.checkpoints?.handedOn();
  const { rows } = await first.database.query('SELECT note FROM audit_checkpoints ORDER BY size DESC LIMIT 1');
  t.equal(await readFile(join(dir, 'checkpoint'), 'utf8'), rows[0].note);
});

t.test('the rounds come by themselves', async (t) => {
  const { database } = await testService(t, { checkpoints: { intervalMs: 50 } });
  await until('there is a note', async () => (await database.query('SELECT FROM audit_checkpoints')).rowCount === 1);
});

t.test('without a checkpoint key nothing is made, and what others make is shown', async (t) => {
  const database = await testDatabase(t);
  const { service, call } = await testService(t, { database });
  t.equal(service.app.checkpoints, undefined);
  t.match(await call('auditor', 'GET', '/v1/audit/checkpoint'), { status: 404 });
  const ready = await (await fetch(`${service.opsUrl}/readyz`)).json();
  t.match(ready, { status: 'ready' });
});
