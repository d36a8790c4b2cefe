import t from 'tap';

import { openCheckpoint } from '../../src/transparency/checkpoint.ts';
import { cli } from '../cli/run.ts';
import { checkpointBench, ORIGIN } from './support.ts';

t.test('audit checkpoint prints the newest note', async (t) => {
  const bench = await checkpointBench(t, ['alpha']);
  const { appUrl, superuserUrl } = bench.database;
  t.match(await cli(['audit', 'checkpoint'], { DATABASE_URL: appUrl }), { code: 2, out: '', err: /no checkpoint yet/ });
  const round = bench.rounds();
  for (let n = 0; n < 2; n += 1) {
    await bench.append('alpha');
    await round();
  }
  for (const url of [appUrl, superuserUrl]) {
    const { code, out } = await cli(['audit', 'checkpoint'], { DATABASE_URL: url });
    t.equal(code, 0);
    t.match(openCheckpoint(out, ORIGIN, { log: [bench.key] }).checkpoint, { size: 2 });
    const json = await cli(['audit', 'checkpoint', '--json', '--database-url', url]);
    t.match(JSON.parse(json.out), { origin: ORIGIN, size: 2, signerId: 'checkpoint-1', note: out });
  }
  t.match(await cli(['audit', 'checkpoint', '--help']), { code: 0, out: /Usage/ });
  t.match(await cli(['audit', 'checkpoint', '--what']), { code: 64 });
  t.match(await cli(['audit', 'checkpoint'], {}), { code: 64 });
  t.match(await cli(['audit', 'checkpoint', '--database-url', 'postgres://x@127.0.0.1:1/x']), { code: 3 });
});
