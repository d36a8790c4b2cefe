import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

import pg from 'pg';
import t from 'tap';

import { testDatabase } from '../support/database.ts';
import { event, insertRows, insertSigner, type Row, setHead } from './support/history.ts';
import { testSigner } from './support/keys.ts';

const MAIN = fileURLToPath(new URL('support/main.ts', import.meta.url));
/** More shows the same and takes longer; set it for a measurement by hand. */
const LONG = Number(process.env['AUDIT_VERIFY_EVENTS'] ?? '16000');
const SHORT = 2000;
const KIB_PER_MIB = 1024;

const database = await testDatabase(t);
const client = new pg.Client({ connectionString: database.superuserUrl });
await client.connect();
t.teardown(() => client.end());

t.test('memory does not grow with the length of a chain', async (t) => {
  const ed = testSigner('ed');
  await insertSigner(client, ed);
  const write = async (chain: string, length: number) => {
    let batch: Row[] = [];
    for (let seq = 1; seq <= length; seq += 1) {
      batch.push(
        event(chain, batch, { signer: ed, seq, ...(seq === 1 ? {} : { prevHash: batch.at(-1)?.hash ?? '' }) }),
      );
      if (batch.length < 1000 && seq < length) continue;
      const done = seq > 1000 ? batch.slice(1) : batch;
      await insertRows(client, done);
      batch = batch.slice(-1);
    }
    const [last] = batch;
    if (last !== undefined) await setHead(client, last);
  };
  await write('short', SHORT);
  await write('long', LONG);
  await client.query('ANALYZE audit_events');

  const short = await verify('short');
  const long = await verify('long');
  t.equal(short.events, SHORT);
  t.equal(long.events, LONG);
  t.equal(long.signatures, LONG);
  t.comment(`${short.maxRss} MiB for ${SHORT}, ${long.maxRss} MiB for ${LONG} events; ${long.seconds.toFixed(2)} s`);
  t.ok(long.maxRss <= 256, `${long.maxRss} MiB`);
  t.ok(long.maxRss - short.maxRss < 80, 'only what the garbage collector leaves lying');
});

async function verify(chain: string) {
  const started = performance.now();
  const child = spawn(process.execPath, [MAIN, '--database-url', database.superuserUrl, '--chain', chain, '--json'], {
    env: { PATH: process.env['PATH'], REPORT_RSS: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const seconds = (performance.now() - started) / 1000;
  const report: { ok: boolean; events: number; signatures: number } = JSON.parse(out);
  return { ...report, maxRss: Math.round(Number(/maxrss (\d+)/.exec(err)?.[1]) / KIB_PER_MIB), seconds };
}
