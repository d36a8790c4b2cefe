import t from 'tap';

import { claims, ecKey, entry, FakeIssuer, ISSUER, issuersOf, outcome, rsaKey, START, sign } from './issuer.ts';

const one = ecKey('one');
const two = ecKey('two');
const away = () => {
  throw new Error('away');
};

/** Every microtask and timer that is due. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

/** Fresh claims, so that nothing comes from the cache. */
let serial = 0;
const fresh = (seconds = START) => {
  serial += 1;
  return claims({ jti: String(serial), iat: seconds, exp: seconds + 600 });
};

t.test('a new key is found when it is first used', async (t) => {
  const issuer = new FakeIssuer(one);
  const tokens = issuer.tokens();
  t.equal(await outcome(tokens, await sign(one)), 'accepted');
  issuer.keys = [one, two];
  issuer.seconds += 30;
  t.equal(await outcome(tokens, await sign(two, fresh())), 'accepted');
  t.equal(issuer.jwksAsked, 2);
});

t.test('a flood of unknown keys asks once in 30 seconds', async (t) => {
  const issuer = new FakeIssuer(one);
  const tokens = issuer.tokens();
  t.equal(await outcome(tokens, await sign(one)), 'accepted');
  issuer.seconds += 30;
  const flood = await Promise.all(
    Array.from({ length: 200 }, (_, index) => sign({ ...two, kid: `unknown-${index}` }, fresh())),
  );
  const outcomes = await Promise.all(flood.map((token) => outcome(tokens, token)));
  t.same(new Set(outcomes), new Set(['TOKEN_SIGNATURE_INVALID']));
  t.equal(issuer.jwksAsked, 2);
  for (const token of flood) t.equal(await outcome(tokens, token), 'TOKEN_SIGNATURE_INVALID');
  t.equal(issuer.jwksAsked, 2);
  t.equal(await outcome(tokens, await sign(one, fresh())), 'accepted', 'a known key is not in its way');
});

t.test('a flood while the issuer does not answer is bounded', async (t) => {
  const issuer = new FakeIssuer(one);
  const tokens = issuer.tokens();
  const { promise, resolve } = Promise.withResolvers<void>();
  issuer.fault = () => promise;
  const tokensOfFlood = await Promise.all(Array.from({ length: 300 }, () => sign(one, fresh())));
  const flood = tokensOfFlood.map((token) => outcome(tokens, token));
  await settled();
  issuer.fault = undefined;
  resolve();
  const outcomes = await Promise.all(flood);
  t.equal(outcomes.filter((one) => one === 'accepted').length, 256);
  t.equal(outcomes.filter((one) => one === 'IDENTITY_PROVIDER_UNAVAILABLE').length, 44);
  t.equal(issuer.jwksAsked, 1);
});

t.test('a key that was taken back counts no longer than a minute, also for tokens that are known', async (t) => {
  const issuer = new FakeIssuer(one);
  const tokens = issuer.tokens();
  const token = await sign(one);
  t.equal(await outcome(tokens, token), 'accepted');
  issuer.keys = [two];
  issuer.seconds += 59;
  t.equal(await outcome(tokens, token), 'accepted');
  issuer.seconds += 1;
  // Asked beside the request, which does not wait for it.
  t.equal(await outcome(tokens, token), 'accepted');
  await settled();
  t.equal(await outcome(tokens, token), 'TOKEN_SIGNATURE_INVALID');
  t.equal(await outcome(tokens, await sign(two, fresh(issuer.seconds))), 'accepted');
});

t.test('another key under the same name takes the old one back', async (t) => {
  const issuer = new FakeIssuer(one);
  const tokens = issuer.tokens();
  const token = await sign(one);
  t.equal(await outcome(tokens, token), 'accepted');
  issuer.keys = [{ ...two, kid: 'one', jwk: { ...two.jwk, kid: 'one' } }];
  issuer.seconds += 60;
  t.equal(await outcome(tokens, token), 'accepted');
  await settled();
  t.equal(await outcome(tokens, token), 'TOKEN_SIGNATURE_INVALID');
});

t.test('the last good keys count for an hour while the issuer is away', async (t) => {
  const issuer = new FakeIssuer(one);
  const tokens = issuer.tokens(entry({ maxAgeSeconds: 86_400 }));
  const token = await sign(one, claims({ exp: START + 86_400 }));
  t.equal(await outcome(tokens, token), 'accepted');
  issuer.fault = away;
  for (let minutes = 1; minutes < 60; minutes += 1) {
    issuer.seconds += 60;
    t.equal(await outcome(tokens, token), 'accepted');
    await settled();
  }
  t.equal(await outcome(tokens, await sign(one, fresh(issuer.seconds))), 'accepted', 'new tokens as well');
  t.equal(await outcome(tokens, await sign(two, fresh(issuer.seconds))), 'IDENTITY_PROVIDER_UNAVAILABLE');
  issuer.seconds += 60;
  t.equal(await outcome(tokens, token), 'IDENTITY_PROVIDER_UNAVAILABLE');
  issuer.fault = undefined;
  issuer.seconds += 30;
  t.equal(await outcome(tokens, token), 'accepted', 'and it comes back alone');
});

t.test('without any keys it is asked every 5 seconds', async (t) => {
  const issuer = new FakeIssuer(one);
  issuer.fault = away;
  const tokens = issuer.tokens();
  const token = await sign(one);
  for (let n = 0; n < 3; n += 1) t.equal(await outcome(tokens, token), 'IDENTITY_PROVIDER_UNAVAILABLE');
  t.equal(issuer.asked.length, 1);
  issuer.fault = undefined;
  issuer.seconds += 5;
  t.equal(await outcome(tokens, token), 'accepted');
});

t.test('two keys of one name are none', async (t) => {
  const issuer = new FakeIssuer(one, { ...two, jwk: { ...two.jwk, kid: 'one' } });
  t.equal(await outcome(issuer.tokens(), await sign(one)), 'TOKEN_SIGNATURE_INVALID');
});

t.test('keys that are not for signatures, or not public, are none', async (t) => {
  const rsa = rsaKey('one');
  for (const changes of [
    { use: 'enc' },
    { key_ops: ['encrypt'] },
    { d: 'AQAB' },
    { kty: 'oct', k: 'AAAA' },
    { alg: 'RS512' },
    { kid: undefined },
    { kid: 7 },
    { kty: 'EC' },
  ]) {
    const issuer = new FakeIssuer(two, { ...rsa, jwk: { ...rsa.jwk, ...changes } });
    t.equal(await outcome(issuer.tokens(), await sign(rsa)), 'TOKEN_SIGNATURE_INVALID', JSON.stringify(changes));
  }
});

for (const [why, answer] of Object.entries({
  'an empty set': { keys: [] },
  'no set': { hello: 'world' },
  'a list': [],
  null: null,
  'too many keys': { keys: Array.from({ length: 101 }, (_, n) => ({ ...one.jwk, kid: `k${n}` })) },
})) {
  t.test(`${why} is no answer, and does not take the keys away`, async (t) => {
    const issuer = new FakeIssuer(one);
    let jwks: unknown = { keys: [one.jwk] };
    const tokens = issuer.tokens();
    tokens.use({
      issuers: issuersOf(entry({ jwksUri: `${ISSUER}/jwks`, maxAgeSeconds: 86_400 })),
      fetchDocument: async () => jwks,
      trust: 'other',
    });
    t.equal(await outcome(tokens, await sign(one)), 'accepted');
    jwks = answer;
    issuer.seconds += 60;
    t.equal(await outcome(tokens, await sign(one, fresh())), 'accepted');
    await settled();
    t.equal(await outcome(tokens, await sign(one, fresh())), 'accepted');
    t.equal(await outcome(tokens, await sign(two, fresh())), 'IDENTITY_PROVIDER_UNAVAILABLE');
  });
}

for (const [why, discovery] of Object.entries({
  'of another issuer': { issuer: 'https://evil.example', jwks_uri: `${ISSUER}/jwks` },
  'without jwks_uri': { issuer: ISSUER },
  'with one over http': { issuer: ISSUER, jwks_uri: 'http://127.0.0.1/jwks' },
  'with one of a file': { issuer: ISSUER, jwks_uri: 'file:///etc/passwd' },
  'that is null': null,
})) {
  t.test(`a discovery document ${why} is none`, async (t) => {
    const issuer = new FakeIssuer(one);
    const tokens = issuer.tokens();
    const fetchDocument = async (url: string) => (url.endsWith('configuration') ? discovery : { keys: [one.jwk] });
    tokens.use({ issuers: issuersOf(entry()), fetchDocument, trust: 'other' });
    t.equal(await outcome(tokens, await sign(one)), 'IDENTITY_PROVIDER_UNAVAILABLE');
  });
}

t.test('keys at a place that only the discovery document names must be on the public net', async (t) => {
  const asked: [string, boolean][] = [];
  const issuer = new FakeIssuer(one);
  const tokens = issuer.tokens();
  for (const jwks of [`${ISSUER}/jwks`, 'https://keys.example/jwks']) {
    tokens.use({
      issuers: issuersOf(entry()),
      fetchDocument: async (url, { publicOnly }) => {
        asked.push([url, publicOnly]);
        return url.endsWith('configuration') ? { issuer: ISSUER, jwks_uri: jwks } : { keys: [one.jwk] };
      },
      trust: jwks,
    });
    t.equal(await outcome(tokens, await sign(one)), 'accepted');
  }
  t.same(
    asked.filter(([url]) => url.endsWith('/jwks')),
    [
      [`${ISSUER}/jwks`, false],
      ['https://keys.example/jwks', true],
    ],
  );
});
