import { resolve } from 'node:path';
import t from 'tap';

import { readCheckpoints, signsCheckpoints } from '../../src/config/checkpoints.ts';
import { SettingsReader } from '../../src/config/read.ts';
import { loadDevConfig } from '../../src/config.ts';

type Env = Record<string, string>;

const KEY: Env = { CASTELLAN_CHECKPOINT_SIGNING_KEY_FILE: 'checkpoint.pem' };
const WITNESS = 'witness.example/w1+8a1bcd2e+BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA';
const SECRET = Buffer.alloc(32).toString('base64');

function read(env: Env) {
  const reader = new SettingsReader(env);
  const settings = readCheckpoints(reader);
  const signs = signsCheckpoints(reader, settings);
  return { settings, signs, problems: reader.problems };
}

t.test('nothing set: none are made', async (t) => {
  const { settings, signs, problems } = read({});
  t.strictSame([signs, problems], [false, []]);
  t.match(settings, { origin: 'castellan', intervalMs: 10_000 });
  t.strictSame(settings.sinks, { file: undefined, s3: undefined, webhook: undefined, witnesses: [] });
});

t.test('everything set', async (t) => {
  const { settings, signs, problems } = read({
    ...KEY,
    CASTELLAN_CHECKPOINT_ORIGIN: 'log.example.org/castellan',
    CASTELLAN_CHECKPOINT_INTERVAL_SECONDS: '60',
    CASTELLAN_CHECKPOINT_SINK_DIR: 'notes',
    CASTELLAN_CHECKPOINT_S3_URL: 'https://s3.eu-central-1.amazonaws.com/bucket/prefix',
    CASTELLAN_CHECKPOINT_S3_REGION: 'eu-central-1',
    CASTELLAN_CHECKPOINT_S3_ACCESS_KEY_ID: 'a',
    CASTELLAN_CHECKPOINT_S3_SECRET_ACCESS_KEY: 'b',
    CASTELLAN_CHECKPOINT_S3_LOCK_MODE: 'GOVERNANCE',
    CASTELLAN_CHECKPOINT_S3_RETENTION_DAYS: '7',
    CASTELLAN_CHECKPOINT_WEBHOOK_URL: 'http://127.0.0.1:9/hook',
    CASTELLAN_CHECKPOINT_WEBHOOK_SECRET: SECRET,
    CASTELLAN_CHECKPOINT_WITNESSES: ` ${WITNESS} https://one.example/ ,${WITNESS}  https://two.example/w`,
  });
  t.strictSame([signs, problems], [true, []]);
  t.strictSame(settings, {
    origin: 'log.example.org/castellan',
    intervalMs: 60_000,
    sinks: {
      file: resolve('notes'),
      s3: {
        url: 'https://s3.eu-central-1.amazonaws.com/bucket/prefix',
        region: 'eu-central-1',
        credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
        lockMode: 'GOVERNANCE',
        retentionDays: 7,
      },
      webhook: { url: 'http://127.0.0.1:9/hook', secret: SECRET },
      witnesses: [
        { verifierKey: WITNESS, url: 'https://one.example/' },
        { verifierKey: WITNESS, url: 'https://two.example/w' },
      ],
    },
  });
});

const REFUSED: readonly (readonly [string, Env])[] = [
  ['CASTELLAN_CHECKPOINT_ORIGIN', { CASTELLAN_CHECKPOINT_ORIGIN: 'https://log.example' }],
  ['CASTELLAN_CHECKPOINT_ORIGIN', { CASTELLAN_CHECKPOINT_ORIGIN: 'a log' }],
  ['CASTELLAN_CHECKPOINT_ORIGIN', { CASTELLAN_CHECKPOINT_ORIGIN: 'a+b' }],
  ['CASTELLAN_CHECKPOINT_INTERVAL_SECONDS', { CASTELLAN_CHECKPOINT_INTERVAL_SECONDS: '0' }],
  ['CASTELLAN_CHECKPOINT_S3_URL', { CASTELLAN_CHECKPOINT_S3_URL: 'http://bucket.example/x' }],
  ['CASTELLAN_CHECKPOINT_S3_URL', { CASTELLAN_CHECKPOINT_S3_URL: 'https://key:secret@bucket.example/x' }],
  ['CASTELLAN_CHECKPOINT_S3_ACCESS_KEY_ID', { CASTELLAN_CHECKPOINT_S3_ACCESS_KEY_ID: 'a' }],
  ['CASTELLAN_CHECKPOINT_WEBHOOK_URL', { CASTELLAN_CHECKPOINT_WEBHOOK_URL: 'https://hook.example/' }],
  [
    'CASTELLAN_CHECKPOINT_WEBHOOK_SECRET',
    { CASTELLAN_CHECKPOINT_WEBHOOK_URL: 'https://hook.example/', CASTELLAN_CHECKPOINT_WEBHOOK_SECRET: 'c2hvcnQ=' },
  ],
  ['CASTELLAN_CHECKPOINT_WITNESSES', { CASTELLAN_CHECKPOINT_WITNESSES: WITNESS }],
  ['CASTELLAN_CHECKPOINT_WITNESSES', { CASTELLAN_CHECKPOINT_WITNESSES: `${WITNESS} http://witness.example/` }],
];

t.test('what is refused', async (t) => {
  for (const [name, env] of REFUSED) {
    const { problems } = read({ ...KEY, ...env });
    t.ok(
      problems.some((problem) => problem.startsWith(name)),
      JSON.stringify(env),
    );
  }
  const { problems } = read({ CASTELLAN_CHECKPOINT_SINK_DIR: 'notes' });
  t.match(problems, [/^CASTELLAN_CHECKPOINT_SIGNING_KEY_FILE is required/], 'a sink without a key');
});

t.test('`dev` has a key of its own', async (t) => {
  const { service } = loadDevConfig({ CASTELLAN_CHECKPOINT_SINK_DIR: 'notes' });
  t.match(service, {
    checkpointSignerId: 'castellan-checkpoint-1',
    checkpoints: { sinks: { file: resolve('notes') } },
  });
});
