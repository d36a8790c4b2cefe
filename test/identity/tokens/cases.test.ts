import { createHmac, createSign, type KeyObject } from 'node:crypto';
import t from 'tap';

import {
  AUDIENCE,
  claims,
  ecKey,
  entry,
  FakeIssuer,
  FINGERPRINT,
  ISSUER,
  outcome,
  rsaKey,
  type SigningKey,
  START,
  sign,
} from './issuer.ts';

const ec = ecKey();
const rsa = rsaKey();
const stranger = ecKey('ec-1');
const weak = rsaKey('weak', 1024);
const thumbprint = Buffer.from(FINGERPRINT, 'hex').toString('base64url');

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

function hmac(key: SigningKey, secret: string | Buffer): string {
  const input = `${part({ alg: 'HS256', kid: key.kid, typ: 'at+jwt' })}.${part(claims())}`;
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
}

/** A token whose parts are texts written by hand. */
function handWritten(
  payload: string,
  header: object = { alg: 'ES256', kid: 'ec-1', typ: 'at+jwt' },
  key?: KeyObject,
): string {
  const input = `${part(header)}.${Buffer.from(payload).toString('base64url')}`;
  const signer = { key: key ?? ec.privateKey, dsaEncoding: 'ieee-p1363' as const };
  return `${input}.${createSign('sha256').update(input).sign(signer).toString('base64url')}`;
}

/** The last character of the part has bits that stand for nothing; the next one of the alphabet has others of them. */
function respelt(text: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  return text.slice(0, -1) + alphabet[alphabet.indexOf(text.slice(-1)) + 1];
}

const good = () => sign(ec);
const RULE = [entry(), entry({ audience: 'castellan-services', kind: 'service' })];

const CASES: Record<string, { token: () => Promise<string> | string; says: string; rules?: object[]; via?: object }> = {
  'a good token': { token: good, says: 'accepted' },
  'the scheme in lower case': { token: async () => `bearer ${await good()}`, says: 'accepted' },
  'a good token of an RSA key': { token: () => sign(rsa), says: 'accepted' },
  'a typ with its whole name': { token: () => sign(ec, claims(), { typ: 'application/AT+JWT' }), says: 'accepted' },
  'several audiences, one of them ours': {
    token: () => sign(ec, claims({ aud: ['other', AUDIENCE] })),
    says: 'accepted',
  },

  'alg none': { token: () => `${part({ alg: 'none', kid: 'ec-1' })}.${part(claims())}.`, says: 'TOKEN_MALFORMED' },
  'alg none with a signature': {
    token: async () =>
      `${part({ alg: 'none', kid: 'ec-1', typ: 'at+jwt' })}.${part(claims())}.${(await good()).split('.')[2]}`,
    says: 'TOKEN_SIGNATURE_INVALID',
  },
  'HS256 with the RSA key as PEM': {
    token: () => hmac(rsa, rsa.publicKey.export({ format: 'pem', type: 'spki' })),
    says: 'TOKEN_SIGNATURE_INVALID',
  },
  'HS256 with the RSA key as DER': {
    token: () => hmac(rsa, rsa.publicKey.export({ format: 'der', type: 'spki' })),
    says: 'TOKEN_SIGNATURE_INVALID',
  },
  'HS256 with its modulus': { token: () => hmac(rsa, String(rsa.jwk['n'])), says: 'TOKEN_SIGNATURE_INVALID' },
  'an algorithm that the issuer does not use': {
    token: () => sign({ ...rsa, alg: 'PS256' }),
    says: 'TOKEN_SIGNATURE_INVALID',
  },
  'an algorithm of another kind of key': {
    token: () => sign({ ...ec, kid: 'rsa-1' }),
    says: 'TOKEN_SIGNATURE_INVALID',
  },
  'an RSA key that is too short': {
    token: () => handWritten(JSON.stringify(claims()), { alg: 'RS256', kid: 'weak', typ: 'at+jwt' }, weak.privateKey),
    says: 'TOKEN_SIGNATURE_INVALID',
  },
  'the key of somebody else under the same kid': { token: () => sign(stranger), says: 'TOKEN_SIGNATURE_INVALID' },
  'a payload that was changed': {
    token: async () => {
      const [header, , signature] = (await good()).split('.');
      return `${header}.${part(claims({ sub: 'mallory' }))}.${signature}`;
    },
    says: 'TOKEN_SIGNATURE_INVALID',
  },

  'an embedded key': {
    token: () => sign({ ...stranger, kid: 'new' }, claims(), { jwk: stranger.jwk }),
    says: 'TOKEN_MALFORMED',
  },
  'an embedded key beside a good one': {
    token: () => sign(ec, claims(), { jwk: ec.jwk }),
    says: 'TOKEN_MALFORMED',
  },
  'a place of keys': { token: () => sign(ec, claims(), { jku: 'https://evil.example' }), says: 'TOKEN_MALFORMED' },
  'a place of certificates': {
    token: () => sign(ec, claims(), { x5u: 'https://evil.example' }),
    says: 'TOKEN_MALFORMED',
  },
  'a chain of certificates': { token: () => sign(ec, claims(), { x5c: ['MIIB'] }), says: 'TOKEN_MALFORMED' },
  'a critical extension': {
    token: async () => {
      const input = `${part({ alg: 'ES256', kid: 'ec-1', typ: 'at+jwt', crit: ['exp'], exp: 1 })}`;
      return `${input}.${(await good()).split('.').slice(1).join('.')}`;
    },
    says: 'TOKEN_MALFORMED',
  },
  'no kid': { token: () => sign(ec, claims(), { kid: undefined }), says: 'TOKEN_MALFORMED' },
  'a kid that is a path': {
    token: () => sign({ ...ec, kid: '../../../../dev/null' }),
    says: 'TOKEN_SIGNATURE_INVALID',
  },
  'a kid that is SQL': { token: () => sign({ ...ec, kid: "x' UNION SELECT 'AA" }), says: 'TOKEN_SIGNATURE_INVALID' },
  'a kid of Object': { token: () => sign({ ...ec, kid: '__proto__' }), says: 'TOKEN_SIGNATURE_INVALID' },
  'a kid that is very long': { token: () => sign({ ...ec, kid: 'k'.repeat(300) }), says: 'TOKEN_MALFORMED' },
  'a kid in another case': { token: () => sign({ ...ec, kid: 'EC-1' }), says: 'TOKEN_SIGNATURE_INVALID' },

  'a blank more': { token: async () => `Bearer  ${await good()}`, says: 'TOKEN_MALFORMED' },
  'a blank behind': { token: async () => `Bearer ${await good()} `, says: 'TOKEN_MALFORMED' },
  'a tab': { token: async () => `Bearer\t${await good()} `, says: 'TOKEN_MALFORMED' },
  'a blank inside': { token: async () => `Bearer ${(await good()).replace('.', ' .')}`, says: 'TOKEN_MALFORMED' },
  'a line end inside': { token: async () => `Bearer ${(await good()).replace('.', '\n.')}`, says: 'TOKEN_MALFORMED' },
  'two tokens': { token: async () => `Bearer ${await good()}, ${await good()}`, says: 'TOKEN_MALFORMED' },
  padding: { token: async () => `Bearer ${await good()}==`, says: 'TOKEN_MALFORMED' },
  'the other alphabet': {
    token: async () => `Bearer ${(await good()).replaceAll('-', '+').replaceAll('_', '/')}+`,
    says: 'TOKEN_MALFORMED',
  },
  'slack bits in the signature': { token: async () => respelt(await good()), says: 'TOKEN_MALFORMED' },
  'another scheme': { token: async () => `DPoP ${await good()}`, says: 'TOKEN_MALFORMED' },
  'a password': { token: () => 'Basic YTpi', says: 'TOKEN_MALFORMED' },
  'four parts': { token: async () => `${await good()}.AA`, says: 'TOKEN_MALFORMED' },
  'two parts': { token: () => `Bearer ${part({})}.${part({})}`, says: 'TOKEN_MALFORMED' },
  'a header that is no JSON': { token: () => 'Bearer AAAA.AAAA.AAAA', says: 'TOKEN_MALFORMED' },
  'a header that is a list': { token: () => `${part([])}.${part(claims())}.AA`, says: 'TOKEN_MALFORMED' },
  'a very long token': { token: () => sign(ec, claims({ more: 'x'.repeat(9000) })), says: 'TOKEN_MALFORMED' },
  'a member twice': {
    token: () => handWritten(`{"sub":"bob",${JSON.stringify(claims()).slice(1)}`),
    says: 'TOKEN_MALFORMED',
  },
  'a payload in UTF-16': {
    token: () => handWritten(Buffer.from(JSON.stringify(claims()), 'utf16le').toString('latin1')),
    says: 'TOKEN_MALFORMED',
  },

  'no exp': { token: () => sign(ec, claims({ exp: undefined })), says: 'TOKEN_CLAIMS_INVALID' },
  'an exp that is a text': { token: () => sign(ec, claims({ exp: '9999999999' })), says: 'TOKEN_CLAIMS_INVALID' },
  'no iat': { token: () => sign(ec, claims({ iat: undefined })), says: 'TOKEN_CLAIMS_INVALID' },
  'no sub': { token: () => sign(ec, claims({ sub: undefined })), says: 'TOKEN_CLAIMS_INVALID' },
  'an empty sub': { token: () => sign(ec, claims({ sub: '' })), says: 'TOKEN_CLAIMS_INVALID' },
  'a sub that is a number': {
    token: () => handWritten(JSON.stringify(claims({ sub: 7 }))),
    says: 'TOKEN_CLAIMS_INVALID',
  },
  'a sub that is very long': { token: () => sign(ec, claims({ sub: 's'.repeat(256) })), says: 'TOKEN_CLAIMS_INVALID' },
  expired: { token: () => sign(ec, claims({ iat: START - 600, exp: START - 31 })), says: 'TOKEN_EXPIRED' },
  'expired within the tolerance': {
    token: () => sign(ec, claims({ iat: START - 600, exp: START - 29 })),
    says: 'accepted',
  },
  'issued in the future': { token: () => sign(ec, claims({ iat: START + 31 })), says: 'TOKEN_CLAIMS_INVALID' },
  'not valid yet': { token: () => sign(ec, claims({ nbf: START + 31 })), says: 'TOKEN_CLAIMS_INVALID' },
  'older than its issuer may': {
    token: () => sign(ec, claims({ iat: START - 3631, exp: START + 600 })),
    says: 'TOKEN_EXPIRED',
  },
  'another audience': { token: () => sign(ec, claims({ aud: 'castellan2' })), says: 'TOKEN_CLAIMS_INVALID' },
  'an audience in another case': { token: () => sign(ec, claims({ aud: 'Castellan' })), says: 'TOKEN_CLAIMS_INVALID' },
  'no audience': { token: () => sign(ec, claims({ aud: undefined })), says: 'TOKEN_CLAIMS_INVALID' },
  'the audiences of two entries': {
    token: () => sign(ec, claims({ aud: [AUDIENCE, 'castellan-services'] })),
    rules: RULE,
    says: 'TOKEN_CLAIMS_INVALID',
  },
  'another issuer': { token: () => sign(ec, claims({ iss: 'https://evil.example' })), says: 'TOKEN_ISSUER_UNKNOWN' },
  'the issuer with a slash more': {
    token: () => sign(ec, claims({ iss: `${ISSUER}/` })),
    says: 'TOKEN_ISSUER_UNKNOWN',
  },
  'no issuer': { token: () => sign(ec, claims({ iss: undefined })), says: 'TOKEN_MALFORMED' },
  'an ID token': { token: () => sign(ec, claims(), { typ: 'id+jwt' }), says: 'TOKEN_CLAIMS_INVALID' },
  'no typ': { token: () => sign(ec, claims(), { typ: undefined }), says: 'TOKEN_CLAIMS_INVALID' },
  'no typ where the issuer sends none': {
    token: () => sign(ec, claims(), { typ: undefined }),
    rules: [entry({ typ: [''] })],
    says: 'accepted',
  },

  'bound to the certificate of the connection': {
    token: () => sign(ec, claims({ cnf: { 'x5t#S256': thumbprint } })),
    via: { fingerprint: FINGERPRINT },
    says: 'accepted',
  },
  'bound to another certificate': {
    token: () => sign(ec, claims({ cnf: { 'x5t#S256': thumbprint } })),
    via: { fingerprint: 'CD'.repeat(32) },
    says: 'TOKEN_BOUND_ELSEWHERE',
  },
  'bound, over a connection without a certificate': {
    token: () => sign(ec, claims({ cnf: { 'x5t#S256': thumbprint } })),
    says: 'TOKEN_BOUND_ELSEWHERE',
  },
  'bound to a key of DPoP': {
    token: () => sign(ec, claims({ cnf: { jkt: thumbprint } })),
    via: { fingerprint: FINGERPRINT },
    says: 'TOKEN_BOUND_ELSEWHERE',
  },
  'bound to both': {
    token: () => sign(ec, claims({ cnf: { 'x5t#S256': thumbprint, jkt: thumbprint } })),
    via: { fingerprint: FINGERPRINT },
    says: 'TOKEN_BOUND_ELSEWHERE',
  },
  'bound to null': { token: () => sign(ec, claims({ cnf: null })), says: 'TOKEN_BOUND_ELSEWHERE' },
  'bound to nothing': { token: () => sign(ec, claims({ cnf: {} })), says: 'TOKEN_BOUND_ELSEWHERE' },
  'not bound where it must be': {
    token: good,
    rules: [entry({ requireCnf: true })],
    via: { fingerprint: FINGERPRINT },
    says: 'TOKEN_BOUND_ELSEWHERE',
  },

  'a human where only humans may': { token: good, via: { onlyHumans: true }, says: 'accepted' },
  'a service where only humans may': {
    token: good,
    rules: [entry({ kind: 'service' })],
    via: { onlyHumans: true },
    says: 'TOKEN_NOT_OF_A_HUMAN',
  },
  'groups that are no texts': {
    token: () => sign(ec, claims({ groups: [['castellan-admins']] })),
    says: 'TOKEN_CLAIMS_INVALID',
  },
  'workspaces that are an object': {
    token: () => sign(ec, claims({ castellan_workspaces: { 0: 'demo' } })),
    says: 'TOKEN_CLAIMS_INVALID',
  },
};

for (const [why, { token, says, rules = [], via = {} }] of Object.entries(CASES)) {
  t.test(why, async (t) => {
    const issuer = new FakeIssuer(ec, rsa, weak);
    const tokens = issuer.tokens(...rules);
    const text = await token();
    t.equal(await outcome(tokens, text, via), says);
    // Again, where an accepted one comes from the cache.
    t.equal(await outcome(tokens, text, via), says, 'the second time');
  });
}

t.test('a respelt token is refused although the same one is known', async (t) => {
  const tokens = new FakeIssuer(ec).tokens();
  const text = await good();
  t.equal(await outcome(tokens, text), 'accepted');
  t.equal(await outcome(tokens, respelt(text)), 'TOKEN_MALFORMED');
});

t.test('a known token over another certificate is refused', async (t) => {
  const tokens = new FakeIssuer(ec).tokens();
  const text = await sign(ec, claims({ cnf: { 'x5t#S256': thumbprint } }));
  t.equal(await outcome(tokens, text, { fingerprint: FINGERPRINT }), 'accepted');
  t.equal(await outcome(tokens, text, { fingerprint: 'CD'.repeat(32) }), 'TOKEN_BOUND_ELSEWHERE');
  t.equal(await outcome(tokens, text), 'TOKEN_BOUND_ELSEWHERE');
});
