import { generateKeyPairSync, randomBytes } from 'node:crypto';
import t from 'tap';

import { detect } from '../../src/secrets/detect.ts';
import { generated, pem, pemKeys, random } from './samples.ts';

const kindsIn = (text: string): string[] => detect(text).map(({ kind }) => kind);
const jwk = (...kind: Parameters<typeof jwkOf>): string => JSON.stringify(jwkOf(...kind));

t.test('PEM in every spelling, once', async (t) => {
  for (const [what, text, kind] of pemKeys()) t.same(kindsIn(`before\n${text}\nafter`), [kind], what);
});

t.test('a key has one fingerprint, however its lines end', async (t) => {
  const [, rsa] = pemKeys()[1] ?? [];
  const secretOf = (text: string) => detect(text)[0]?.secret;
  t.ok(rsa);
  for (const text of [rsa?.replaceAll('\n', '\r\n'), JSON.stringify(rsa), rsa?.replaceAll(/^/gm, '  ')]) {
    t.equal(secretOf(text ?? ''), secretOf(rsa ?? ''));
  }
});

t.test('what only speaks of keys is none', async (t) => {
  const begin = `-----${'BEGIN'} PRIVATE KEY-----`;
  const { publicKey } = generateKeyPairSync('ed25519');
  const texts = [
    begin,
    `if (text.startsWith('${begin}')) throw new Error('private key');`,
    `${begin} Make sure that it is not there`,
    `${begin}\n\${body}\n-----${'END'} PRIVATE KEY-----`,
    `${begin}\n...\n-----${'END'} PRIVATE KEY-----`,
    `/${begin}[A-Za-z0-9+/=\\s]+-----${'END'}/`,
    publicKey.export({ format: 'pem', type: 'spki' }).toString(),
    pem(random(400), 'CERTIFICATE'),
  ];
  for (const text of texts) t.same(kindsIn(text), [], text);
});

t.test('private JWKs', async (t) => {
  const found: readonly (readonly [string, string])[] = [
    [jwk('ed25519'), 'jwk-private-key'],
    [jwk('ec'), 'jwk-private-key'],
    [jwk('rsa'), 'jwk-private-key'],
    [JSON.stringify({ keys: [jwkOf('ec')] }, undefined, 2), 'jwk-private-key'],
    [JSON.stringify(jwk('ed25519')), 'jwk-private-key'],
    [JSON.stringify({ d: random(43), kty: 'OKP' }), 'jwk-private-key'],
    [`const key = { kty: 'EC', crv: 'P-256',\n  d: '${random(43)}' };`, 'jwk-private-key'],
    [JSON.stringify({ kty: 'oct', k: random(43) }), 'jwk-secret-key'],
  ];
  for (const [text, kind] of found) t.same(kindsIn(text), [kind], text.slice(0, 60));
  const none = [
    JSON.stringify(generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' })),
    JSON.stringify({ d: random(43) }),
    JSON.stringify([{ kty: 'OKP' }, { d: random(43) }]),
    JSON.stringify({ kty: 'RSA', k: random(43) }),
    "{ kty: 'OKP', d: 'secret' }",
  ];
  for (const text of none) t.same(kindsIn(text), [], text);
});

t.test('AWS keys', async (t) => {
  const id = `AK${'IA'}${random(16, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567')}`;
  const secret = generated(40);
  const both = ['aws-access-key-id', 'aws-secret-access-key'];
  t.same(kindsIn(`aws_access_key_id = ${id}\naws_secret_access_key = ${secret}\n`), both);
  t.same(kindsIn(`Access key ID,Secret access key\n${id},${secret}\n`), both);
  t.same(kindsIn(JSON.stringify({ accessKeyId: id, secretAccessKey: secret })), both);
  t.same(kindsIn(`AWS_SECRET_ACCESS_KEY="${secret}"`), ['aws-secret-access-key']);
  t.same(kindsIn(id), ['aws-access-key-id']);
  t.same(kindsIn(`commit ${randomBytes(20).toString('hex')}`), [], 'a digest');
  t.same(kindsIn(`${id}\n${randomBytes(20).toString('hex')}`), ['aws-access-key-id'], 'a digest near an id');
  t.same(kindsIn(`${secret}`), [], 'nothing near it');
  t.same(kindsIn(`${id}\n${'\n'.repeat(600)}${secret}`), ['aws-access-key-id'], 'nothing near enough');
});

t.test('marked tokens, once, whatever they are assigned to', async (t) => {
  const tokens: Record<string, readonly string[]> = {
    'github-token': [`gh${'p'}_${random(36)}`, `gh${'s'}_${random(36)}`, `github${'_pat'}_${random(22)}_${random(59)}`],
    'gitlab-token': [`gl${'pat'}-${random(20)}`],
    'slack-token': [`xo${'xb'}-${random(12, '0123456789')}-${random(24)}`],
    'slack-webhook': [`https://hooks.slack.${'com'}/services/T${random(9)}/B${random(9)}/${random(24)}`],
    'npm-token': [`np${'m'}_${random(36)}`],
    'google-api-key': [`AI${'za'}${random(35)}`],
    'google-client-secret': [`GOC${'SPX'}-${random(28)}`],
    'stripe-key': [`sk${'_live'}_${random(24)}`],
    'anthropic-key': [`sk-${'ant'}-api03-${random(90)}`],
    'openai-key': [`sk-${'proj'}-${random(80)}`, `sk-${random(20)}T3Blbk${'FJ'}${random(20)}`],
    'age-secret-key': [`AGE-SECRET-${'KEY'}-1${random(58, 'QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L')}`],
    'note-private-key': [`PRIVATE+${'KEY'}+log.example+${random(8, '0123456789abcdef')}+${random(44)}`],
  };
  for (const [kind, values] of Object.entries(tokens)) {
    for (const value of values) {
      for (const text of [value, `token=${value}\n`, `{"token":"${value}"}`, `run --key ${value} now`]) {
        t.same(kindsIn(text), [kind], text);
      }
    }
  }
  t.same(kindsIn(`gh${'p'}_${'x'.repeat(36)}`), [], 'a mask');
  t.same(kindsIn(`a${random(8)}gh${'p'}_${random(36)}`), [], 'within a longer word');
});

t.test('passwords in URLs', async (t) => {
  const url = (password: string) => `postgres://app:${password}@db.internal:5432/x`;
  for (const password of ['hunter' + '2', random(20), 'p%40ss' + 'w0rd']) {
    t.same(kindsIn(`DATABASE_URL=${url(password)}`), ['url-password'], password);
  }
  for (const text of [slot('password'), '%s', 'password', '<password>', '****', '{{ .Values.password }}'].map(url)) {
    t.same(kindsIn(text), [], text);
  }
  t.same(kindsIn('https://host.example:8443/a@b and http://[::1]:80/ and mailto:a@b.example'), []);
});

t.test('assignments of what a generator made', async (t) => {
  const value = generated(24);
  const found = [
    `password = "${value}"`,
    `DB_PASSWORD=${value}\n`,
    `export API_KEY='${value}'`,
    `"client_secret": "${value}",`,
    `{\\"clientSecret\\": \\"${value}\\"}`,
    `spring.datasource.password: ${value}\n`,
    `passphrase: ${value} # of the store`,
    `const authToken: string = '${value}';`,
    `'secret' => '${value}',`,
    `Server=db;Uid=app;Pwd=${value};`,
    `docker run -e SECRET_KEY=${value} image`,
    `//registry.example/:_authToken=${value}`,
    `SIGNING_KEY=${randomBytes(32).toString('hex')}a1b2c3d4\n`,
    `token: SG.${value}.${generated(40)}\n`,
  ];
  for (const text of found) t.same(kindsIn(text), ['generic-secret'], text);
  const none = [
    'password = "correct horse battery"',
    'password = "hunter' + '2"',
    `password: ${slot('DB_PASSWORD_2_FROM_ENV')}`,
    'token: request.headers.authorization2,',
    'secret: Uint8Array | string;',
    'readonly token: Uint8Array;',
    'API_KEY=your-api-key-here-123',
    'password: "<set 1 in the console>"',
    'password = "changeme-changeme-1"',
    'DATABASE_PASSWORD_FILE=/run/secrets/database-password-1',
    'TOKEN_HEADER = "x-aws-ec2-metadata-token"',
    'secret = createHash("sha256")',
    'const token = sha256Digest2(value);',
    `nextPageToken: "${value}"`,
    `digest: "${value}"`,
  ];
  for (const text of none) t.same(kindsIn(text), [], text);
});

function jwkOf(kind: 'ed25519' | 'ec' | 'rsa') {
  if (kind === 'ed25519') return generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
  if (kind === 'ec') return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
  return generateKeyPairSync('rsa', { modulusLength: 4096 }).privateKey.export({ format: 'jwk' });
}

/** As shells and templates write a value that is filled in later. */
function slot(name: string): string {
  return `$\{${name}}`;
}
