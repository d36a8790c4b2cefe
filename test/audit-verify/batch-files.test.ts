import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import t from 'tap';

import { auditBench } from '../audit/support.ts';
import { runExport, verifyHere } from './support/run.ts';

t.test('batches leave in both formats with what is needed to verify them, and edits of that are seen', async (t) => {
  const bench = await auditBench(t, ['alpha', 'beta']);
  const audit = bench.replica('batch');
  const events = (chain: string, count: number) => ({
    chain,
    work: async ({ append }: { append(event: object): unknown }) => {
      const event = { type: 'agent.stopped', actor: { id: 'x', kind: 'human' }, payload: { agentId: chain } };
      for (let at = 0; at < count; at += 1) append(event);
    },
  });
  await Promise.all(['alpha', 'alpha', 'beta', 'alpha'].map((chain) => audit.commit(events(chain, 3))));
  const url = bench.database.superuserUrl;
  const dir = t.testdir({ tiles: {} });
  const [lines, tiles] = [join(dir, 'log.jsonl'), join(dir, 'tiles')];
  const signatures = join(tiles, 'chains', 'alpha', 'signatures.jsonl');
  const sources = [
    ['--database-url', url],
    ['--tiles', tiles],
    ['--export', lines, '--signers', join(tiles, 'signers.json')],
  ];
  const findings = async (source: string[]) => (await verifyHere(source)).report.findings;

  for (const more of [0, 2]) {
    await audit.commit(events('alpha', more));
    t.equal((await runExport(['--database-url', url, '--format', 'tiles', '--out', tiles])).code, 0);
  }
  t.equal((await runExport(['--database-url', url, '--out', lines])).code, 0);
  for (const source of sources) {
    const { verdict, report } = await verifyHere(source);
    t.match({ verdict, ...report }, { verdict: 'ok', events: 16, signatures: 16, findings: [] }, source.join(' '));
  }

  const wrong = { chain: 'alpha', seq: 3, class: 'signature-wrong' };
  for (const [path, source] of [
    [signatures, sources[1] ?? []],
    [lines, sources[2] ?? []],
  ] as const) {
    const whole = readFileSync(path, 'utf8');
    const edited = (change: (line: { batch?: unknown; signMode: string }) => unknown) => {
      const text = whole.split('\n').map((line) => {
        const value = line === '' ? undefined : JSON.parse(line);
        const meant = value?.seq === 3 && (value.chain ?? 'alpha') === 'alpha';
        return meant ? JSON.stringify(change(value)) : line;
      });
      writeFileSync(path, text.join('\n'));
      return findings([...source]);
    };
    t.match(await edited((line) => line), []);
    t.match(await edited(({ batch, ...line }) => line), [wrong]);
    for (const batch of [
      null,
      'x',
      { index: 0 },
      { index: 0, size: 1, path: [] },
      { index: 0, size: 1, path: 'AA==' },
    ]) {
      t.match(await edited((line) => ({ ...line, batch })), [wrong], JSON.stringify(batch));
    }
    t.match(await edited(({ batch, ...line }) => ({ ...line, signMode: 'event' })), [wrong]);
    t.match(await edited((line) => ({ ...line, signMode: 'event' })), [
      wrong,
      { ...wrong, class: 'projection-edited' },
    ]);
    writeFileSync(path, whole);
  }
});
