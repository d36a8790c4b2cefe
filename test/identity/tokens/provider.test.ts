import t, { type Test } from 'tap';

import { tokenIssuersSource } from '../../../src/identity/tokens/source.ts';
import { createTokens } from '../../../src/identity/tokens/tokens.ts';
import { HUMANS, openIdProvider, SERVICES } from '../../support/openid-provider.ts';
import { entry, outcome } from './issuer.ts';

const PEOPLE = {
  alice: { groups: ['castellan-admins', 'others'], castellan_workspaces: '*' },
  'service-a': { groups: ['operators'], castellan_workspaces: ['demo'] },
};

/** A provider, and the tokens of its subjects as the service judges them, with monotonic time in the test's hands. */
async function world(t: Test, changes: object = {}) {
  const provider = await openIdProvider(t, PEOPLE);
  const time = { now: 0 };
  const tokens = createTokens({
    toleranceSeconds: 30,
    clock: Date.now,
    now: () => time.now,
    observe: { keysFetched: () => undefined },
    idOf: async (_issuer, subject) => subject,
  });
  const path = '/issuers.json';
  const issuers = [
    entry({ issuer: provider.issuer, audience: HUMANS, algorithms: ['ES256'], typ: ['at+jwt'], ...changes }),
    entry({ issuer: provider.issuer, audience: SERVICES, kind: 'service', algorithms: ['ES256'], ...changes }),
  ];
  const source = tokenIssuersSource({ issuersFile: path, caFile: undefined, toleranceSeconds: 30 }, tokens);
  const loaded = await source.load(new Map([[path, Buffer.from(JSON.stringify({ issuers }))]]));
  loaded.apply();
  const later = (seconds: number) => {
    time.now += seconds * 1000;
  };
  return { provider, tokens, later };
}

const via = { fingerprint: undefined, onlyHumans: false };

t.test('a person and a service of a real provider', async (t) => {
  const { provider, tokens } = await world(t);
  t.same(await tokens.authenticate(`Bearer ${await provider.login('alice')}`, via), {
    id: 'alice',
    kind: 'human',
    roles: ['kernel-admin'],
    workspaces: '*',
  });
  t.same(await tokens.authenticate(`Bearer ${await provider.service('service-a')}`, via), {
    id: 'service-a',
    kind: 'service',
    roles: ['operator'],
    workspaces: ['demo'],
  });
  t.equal(provider.asked, 1, 'both entries share the keys');
});

t.test('the provider rotates its key', async (t) => {
  const { provider, tokens, later } = await world(t);
  const old = await provider.login('alice');
  t.equal(await outcome(tokens, old), 'accepted');
  provider.rotate();
  const next = await provider.login('alice');
  t.equal(await outcome(tokens, next), 'TOKEN_SIGNATURE_INVALID', 'it was asked just now');
  later(30);
  t.equal(await outcome(tokens, next), 'accepted');
  t.equal(await outcome(tokens, old), 'TOKEN_SIGNATURE_INVALID', 'the old key is gone, and what it had signed');
});

for (const health of ['down', 'huge', 'redirecting', 'slow'] as const) {
  t.test(`the provider is ${health}`, async (t) => {
    const { provider, tokens, later } = await world(t);
    const token = await provider.login('alice');
    provider.health = health;
    t.equal(await outcome(tokens, token), 'IDENTITY_PROVIDER_UNAVAILABLE');
    provider.health = 'up';
    t.equal(await outcome(tokens, token), 'IDENTITY_PROVIDER_UNAVAILABLE', 'it is not asked again at once');
    later(5);
    t.equal(await outcome(tokens, token), 'accepted');

    provider.health = health;
    later(3599);
    t.equal(await outcome(tokens, token), 'accepted', 'the last good keys count for an hour');
    later(1);
    t.equal(await outcome(tokens, token), 'IDENTITY_PROVIDER_UNAVAILABLE');
    provider.health = 'up';
    later(5);
    t.equal(await outcome(tokens, token), 'accepted');
  });
}
