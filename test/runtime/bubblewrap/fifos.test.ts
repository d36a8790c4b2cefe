import { closeSync, readdirSync, writeSync } from 'node:fs';
import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';

import t, { type Test } from 'tap';

import { drain } from '../../../src/runtime/drivers/bubblewrap/drain.ts';
import { createFifos, type Fifo } from '../../../src/runtime/drivers/bubblewrap/fifos.ts';
import { findTools } from '../../../src/runtime/drivers/bubblewrap/tools.ts';
import { isolationTest } from '../../support/isolation.ts';

isolationTest(t);
const { mkfifo } = await findTools(process.env['PATH']);

async function fifosIn(t: Test) {
  const dir = await mkdtemp(join(tmpdir(), 'c-fifos-'));
  t.teardown(() => rm(dir, { recursive: true }));
  return { dir, fifos: createFifos(mkfifo, dir) };
}

function closeAll(...fifos: readonly Fifo[]): void {
  for (const { readFd, writeFd } of fifos) {
    closeSync(readFd);
    closeSync(writeFd);
  }
}

t.test('one that cannot be opened leaves no other open', async (t) => {
  const { dir, fifos } = await fifosIn(t);
  closeAll(...(await fifos.takePair()));
  const [, secondNext] = (await readdir(dir))
    .map(Number)
    .toSorted((a, b) => b - a)
    .slice(2);
  await rm(join(dir, `${secondNext}`));
  const before = readdirSync('/proc/self/fd').length;
  for (let round = 0; round < 4; round += 1) await t.rejects(fifos.takePair(), { code: 'ENOENT' });
  t.equal(readdirSync('/proc/self/fd').length, before);
});

t.test('one that was closed to everybody from inside is passed over', { skip: process.getuid?.() === 0 }, async (t) => {
  const { dir, fifos } = await fifosIn(t);
  closeAll(...(await fifos.takePair()));
  for (const name of (await readdir(dir)).slice(0, 10)) await chmod(join(dir, name), 0);
  for (let round = 0; round < 4; round += 1) closeAll(...(await fifos.takePair()));
});

t.test('a byte at a time comes in few pieces, and all of it', async (t) => {
  const { fifos } = await fifosIn(t);
  const [fifo, other] = await fifos.takePair();
  let [pieces, bytes] = [0, 0];
  const { settle } = drain(fifo.readFd, (chunk) => {
    pieces += 1;
    bytes += chunk.length;
  });
  for (let n = 0; n < 2000; n += 1) {
    writeSync(fifo.writeFd, 'x');
    await nextTurn();
  }
  closeSync(fifo.writeFd);
  t.equal(await settle(), true);
  t.equal(bytes, 2000);
  t.ok(pieces < 1000, `${pieces}`);
  closeAll(other);
});

t.test('a writer that stays is not waited for once nothing more comes, and what it wrote is read', async (t) => {
  const { fifos } = await fifosIn(t);
  const [fifo, other] = await fifos.takePair();
  let said = '';
  const { settle } = drain(fifo.readFd, (chunk) => {
    said += chunk.toString();
  });
  writeSync(fifo.writeFd, 'all of it');
  t.equal(await settle(), false, 'it is not at its end');
  t.equal(said, 'all of it');
  closeSync(fifo.writeFd);
  closeAll(other);
});
