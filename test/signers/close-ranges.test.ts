import pg from 'pg';
import t, { type Test } from 'tap';

import { closeRanges } from '../../src/signers/close-ranges.ts';
import { generateEd25519 } from '../../src/signers/drivers/local/ed25519.ts';
import { until } from '../support/process.ts';
import { testService } from '../support/service.ts';

const SIGNAL = AbortSignal.timeout(60_000);

/** A service with checkpoints, and a retired signer whose range is open. */
async function retiredSigner(t: Test) {
  const at = await testService(t, { checkpoints: {} });
  const { app } = at.service;
  for (const signerId of ['kernel-1', 'kernel-2']) {
    const body = { signerId, alg: 'Ed25519', purpose: 'manifest', publicKey: generateEd25519().publicKeyPem };
    await at.call('kernel-admin', 'POST', '/v1/signers', body);
  }
  t.equal((await at.call('kernel-admin', 'POST', '/v1/signers/kernel-1/retire')).status, 200);
  const { database } = at;
  const round = async () => app.checkpoints?.round();
  const close = (options: { round?: () => Promise<void> } = {}) =>
    closeRanges({ storage: app.storage, audit: app.audit, round, ...options }, SIGNAL);
  const range = async () => {
    const { rows } = await database.query(
      `SELECT valid_to_size AS size, (SELECT count(*)::int FROM audit_events WHERE event_type = 'signer.range.closed') AS events,
         (SELECT count(*)::int FROM audit_checkpoint_entries) AS log
       FROM signers WHERE signer_id = 'kernel-1'`,
    );
    return { ...rows[0], size: rows[0].size === null ? null : Number(rows[0].size) };
  };
  return {
    at,
    database,
    round,
    close,
    range,
    /** As the job does it; a transaction of somebody else may hold it up for a moment. */
    closed: () =>
      until('the range is closed', async () => {
        await close();
        return (await range()).size !== null;
      }),
  };
}

t.test('the range of a retired signer ends at the log as it is when all it signed is in it', async (t) => {
  const { close, closed, range, database } = await retiredSigner(t);
  await closed();
  const { size, events, log } = await range();
  t.equal(size, log);
  t.ok(log >= 3, 'the system chain and both workspaces');
  t.equal(events, 1);
  await close();
  t.equal((await range()).events, 1, 'once');
  const { rows } = await database.query(`SELECT payload FROM audit_events WHERE event_type = 'signer.range.closed'`);
  t.match(rows[0].payload, {
    signerId: 'kernel-1',
    purpose: 'manifest',
    validToSize: size,
    registryDigest: /^sha256:/,
  });
});

t.test('it stays open while a transaction is left that saw the signer in force', async (t) => {
  const { close, closed, range, database } = await retiredSigner(t);
  const older = new pg.Client({ connectionString: database.superuserUrl });
  await older.connect();
  await older.query('BEGIN');
  // A transaction with an id, as one has that signs.
  await older.query('SELECT pg_current_xact_id()');
  await close();
  await close();
  t.equal((await range()).size, null);
  await older.end();
  await closed();
  t.ok((await range()).size > 0);
});

t.test('it stays open while an event is in no checkpoint that it signed', async (t) => {
  const { at, close, closed, range, database, round } = await retiredSigner(t);
  await round();
  await at.call('operator', 'POST', '/v1/workspaces/demo/agents', { spec: { name: 'a' } });
  await database.query('ALTER TABLE audit_events DISABLE TRIGGER USER');
  await database.query(
    `UPDATE audit_events SET signer_id = 'kernel-1' FROM audit_heads h
     WHERE h.chain = 'demo' AND audit_events.chain = h.chain AND audit_events.seq = h.seq`,
  );
  for (let n = 0; n < 3; n += 1) await close({ round: async () => undefined });
  t.equal((await range()).size, null);
  await closed();
  t.equal((await range()).size, (await range()).log);
});

t.test('two replicas close it once, and a stamp of another server is made anew', async (t) => {
  const { close, closed, range, database } = await retiredSigner(t);
  await database.query(`UPDATE signers SET closing_xid = '999999999999' WHERE signer_id = 'kernel-1'`);
  await Promise.all([close(), close()]);
  await closed();
  const { size, events } = await range();
  t.ok(size > 0);
  t.equal(events, 1);
});
