import { generateKeyPairSync } from 'node:crypto';
import { SignJWT } from 'jose';

import { parseTokenIssuers } from '../../src/identity/tokens/issuers.ts';
import { createTokens, type TokenAuthority } from '../../src/identity/tokens/tokens.ts';
import { type Figure, figure } from '../support/figure.ts';
import type { Bench, Phase } from '../support/phase.ts';
import { inTurn } from '../support/rounds.ts';

const ISSUER = 'https://id.example';
/** Different ones that come again and again: as many people as work at once. */
const KNOWN = 1000;
/** Signed ahead, each used once in a round that has the cache against it. */
const FRESH = 4000;
const AT_ONCE = 16;
const ALGORITHMS = ['ES256', 'RS256'] as const;
type Algorithm = (typeof ALGORITHMS)[number];

export const tokens: Phase = {
  name: 'tokens',
  what: 'tokens of OpenID issuers, known by their digest and verified anew',
  run: measureTokens,
};

async function measureTokens(bench: Bench): Promise<Figure[]> {
  const es = await makeTokens('ES256');
  const rs = await makeTokens('RS256');
  const known = authority(es);
  const headers = es.headers.slice(0, KNOWN);
  for (const header of headers) await known.authenticate(header, VIA);
  const { seconds } = bench.options;
  const results = await inTurn(bench, AT_ONCE, {
    cached: async () => cached(known, headers, seconds),
    es256: () => uncached(es),
    rs256: () => uncached(rs),
  });
  const of = (name: keyof typeof results) => results[name].map(({ perSecond }) => perSecond);
  return [
    figure('tokens.cached.perSecond', 'tokens known by their digest', '/s', of('cached')),
    figure('tokens.es256.perSecond', 'tokens verified anew, ES256', '/s', of('es256')),
    figure('tokens.rs256.perSecond', 'tokens verified anew, RS256', '/s', of('rs256')),
  ];
}

const VIA = { fingerprint: undefined, onlyHumans: false };

function cached(known: TokenAuthority, headers: readonly string[], seconds: number) {
  const started = performance.now();
  let done = 0;
  for (; performance.now() - started < seconds * 1000; done += headers.length) {
    for (const header of headers) {
      if (known.authenticate(header, VIA) instanceof Promise) throw new Error('a known token was verified again');
    }
  }
  return { perSecond: (done * 1000) / (performance.now() - started) };
}

/** Each token once, against an empty cache, some at once as requests come. */
async function uncached(made: Made) {
  const fresh = authority(made);
  // The keys are there before the clock runs.
  await fresh.authenticate(made.headers[0] ?? '', VIA);
  const left = made.headers.slice(1);
  const count = left.length;
  const started = performance.now();
  const work = async () => {
    for (let header = left.pop(); header !== undefined; header = left.pop()) await fresh.authenticate(header, VIA);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return { perSecond: (count * 1000) / (performance.now() - started) };
}

interface Made {
  readonly headers: readonly string[];
  readonly jwks: object;
}

async function makeTokens(alg: Algorithm): Promise<Made> {
  const pair =
    alg === 'ES256'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : generateKeyPairSync('rsa', { modulusLength: 2048 });
  const now = Math.floor(Date.now() / 1000);
  const headers: string[] = [];
  for (let nth = 0; nth < FRESH; nth += 1) {
    const token = await new SignJWT({
      iss: ISSUER,
      aud: 'castellan',
      sub: `person-${nth}`,
      iat: now,
      exp: now + 3600,
      email: 'somebody@example.com',
      groups: ['operators', 'everybody', 'building-7'],
      castellan_workspaces: ['demo'],
    })
      .setProtectedHeader({ alg, kid: 'bench', typ: 'at+jwt' })
      .sign(pair.privateKey);
    headers.push(`Bearer ${token}`);
  }
  return { headers, jwks: { keys: [{ ...pair.publicKey.export({ format: 'jwk' }), kid: 'bench' }] } };
}

function authority({ jwks }: Made): TokenAuthority {
  const made = createTokens({
    toleranceSeconds: 30,
    clock: Date.now,
    now: () => performance.now(),
    observe: { keysFetched: () => undefined },
    idOf: async (_issuer, subject) => subject,
  });
  const issuer = {
    issuer: ISSUER,
    kind: 'human',
    audience: 'castellan',
    algorithms: ALGORITHMS,
    jwksUri: `${ISSUER}/jwks`,
    roles: { claim: 'groups', map: { operators: 'operator' } },
    workspaces: { claim: 'castellan_workspaces' },
  };
  made.use({
    issuers: parseTokenIssuers(Buffer.from(JSON.stringify({ issuers: [issuer] }))),
    fetchDocument: async () => jwks,
    trust: '',
  });
  return made;
}
