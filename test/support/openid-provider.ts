import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import Provider, { type Configuration } from 'oidc-provider';

import type { Tap } from './postgres.ts';

export const HUMANS = 'urn:castellan:humans';
export const SERVICES = 'urn:castellan:services';
const CALLBACK = 'https://ui.example/callback';
const SECRET = 'a-secret-of-the-client-that-is-long-enough';

/** What the provider says of somebody: a person by name, a service by client id. */
export type Directory = Readonly<Record<string, { readonly groups: string[]; readonly castellan_workspaces: unknown }>>;

/** How it answers questions for its keys. */
export type Health = 'up' | 'down' | 'slow' | 'huge' | 'redirecting';

export interface OpenIdProvider {
  readonly issuer: string;
  health: Health;
  /** Questions for keys so far. */
  readonly asked: number;
  /** From now on it signs with another key, and the old one is gone. */
  rotate(): void;
  /** The access token of a person who has logged in: authorization code flow with PKCE. */
  login(person: string): Promise<string>;
  /** The access token of a service: client credentials; bound to a certificate (PEM) where one is given. */
  service(clientId: string, certificate?: string): Promise<string>;
}

/** A real OpenID provider in this process, on loopback, closed at teardown. */
export async function openIdProvider(t: Tap, directory: Directory): Promise<OpenIdProvider> {
  let answer: (request: IncomingMessage, response: ServerResponse) => unknown = () => undefined;
  let health: Health = 'up';
  let asked = 0;
  const server = createServer((request, response) => {
    const path = request.url ?? '';
    if (path.startsWith('/jwks')) asked += 1;
    if (path.startsWith('/jwks') || path.startsWith('/.well-known')) {
      if (health === 'down') return request.socket.destroy();
      if (health === 'slow') return undefined;
      if (health === 'redirecting') return response.writeHead(302, { location: `/elsewhere${path}` }).end();
      if (health === 'huge') return response.end(`{"keys":[],"x":"${'x'.repeat(2_000_000)}"}`);
    }
    // Where a redirection leads, it would be right: nobody may follow it.
    request.url = path.replace(/^\/elsewhere/, '');
    return answer(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  const address = server.address();
  const issuer = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
  const rotate = () => {
    answer = providerOf(issuer, directory).callback();
  };
  rotate();
  return {
    issuer,
    get health() {
      return health;
    },
    set health(now) {
      health = now;
    },
    get asked() {
      return asked;
    },
    rotate,
    login: (person) => login(issuer, person),
    service: (clientId, certificate) => clientCredentials(issuer, clientId, certificate),
  };
}

function providerOf(issuer: string, directory: Directory): Provider {
  const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
  const services = Object.keys(directory).filter((name) => name.startsWith('service-'));
  const configuration: Configuration = {
    jwks: { keys: [{ ...key, kty: 'EC', use: 'sig', alg: 'ES256', kid: randomBytes(8).toString('hex') }] },
    cookies: { keys: [randomBytes(16).toString('hex')] },
    clients: [
      {
        client_id: 'ui',
        token_endpoint_auth_method: 'none',
        redirect_uris: [CALLBACK],
        id_token_signed_response_alg: 'ES256',
      },
      ...services.map((client_id) => ({
        client_id,
        client_secret: SECRET,
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
        id_token_signed_response_alg: 'ES256' as const,
        tls_client_certificate_bound_access_tokens: client_id.endsWith('-bound'),
      })),
    ],
    ttl: { AccessToken: 600, ClientCredentials: 600, Session: 600, Interaction: 600, Grant: 600, IdToken: 600 },
    findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    extraTokenClaims: (_context, token) =>
      directory['accountId' in token ? String(token.accountId) : (token.clientId ?? '')],
    interactions: { url: (_context, { uid }) => `/interaction/${uid}` },
    loadExistingGrant: async ({ oidc }) => {
      const { client, session } = oidc;
      const grant = new oidc.provider.Grant({
        ...(client === undefined ? {} : { clientId: client.clientId }),
        ...(session?.accountId === undefined ? {} : { accountId: session.accountId }),
      });
      grant.addOIDCScope('openid');
      grant.addResourceScope(HUMANS, 'use');
      await grant.save();
      return grant;
    },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      mTLS: {
        enabled: true,
        certificateBoundAccessTokens: true,
        getCertificate: (context) => decodeURIComponent(context.get('x-certificate')) || undefined,
      },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_context, resource) => ({
          scope: 'use',
          audience: resource,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
  };
  const provider = new Provider(issuer, configuration);
  // Whoever comes is who the test says: there is no password to ask for.
  provider.use(async (context, next) => {
    const person = context.get('x-person');
    if (!context.path.startsWith('/interaction/') || person === '') return next();
    context.respond = false;
    await provider.interactionFinished(context.req, context.res, { login: { accountId: person } });
  });
  return provider;
}

async function login(issuer: string, person: string): Promise<string> {
  const verifier = randomBytes(32).toString('base64url');
  const question = new URLSearchParams({
    client_id: 'ui',
    response_type: 'code',
    redirect_uri: CALLBACK,
    scope: 'openid use',
    resource: HUMANS,
    state: randomBytes(8).toString('hex'),
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
  });
  const cookies = new Map<string, string>();
  let location = `${issuer}/auth?${question}`;
  for (let step = 0; step < 8 && !location.startsWith(CALLBACK); step += 1) {
    const headers = { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; '), 'x-person': person };
    const response = await fetch(location, { redirect: 'manual', headers });
    for (const line of response.headers.getSetCookie()) {
      const [pair = ''] = line.split(';');
      cookies.set(pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1));
    }
    const next = response.headers.get('location');
    if (next === null) throw new Error(`no login: ${response.status} ${await response.text()}`);
    location = new URL(next, location).href;
  }
  return requestToken(issuer, {
    grant_type: 'authorization_code',
    client_id: 'ui',
    redirect_uri: CALLBACK,
    code: new URL(location).searchParams.get('code') ?? '',
    code_verifier: verifier,
    resource: HUMANS,
  });
}

function clientCredentials(issuer: string, clientId: string, certificate?: string): Promise<string> {
  const form = { grant_type: 'client_credentials', resource: SERVICES, scope: 'use' };
  const authorization = `Basic ${Buffer.from(`${clientId}:${SECRET}`).toString('base64')}`;
  const shown = certificate === undefined ? {} : { 'x-certificate': encodeURIComponent(certificate) };
  return requestToken(issuer, form, { authorization, ...shown });
}

async function requestToken(issuer: string, form: Record<string, string>, headers: Record<string, string> = {}) {
  const body = new URLSearchParams(form);
  const response = await fetch(`${issuer}/token`, { method: 'POST', headers, body });
  const answer: unknown = await response.json();
  if (typeof answer !== 'object' || answer === null || !('access_token' in answer)) {
    throw new Error(`no token: ${JSON.stringify(answer)}`);
  }
  return String(answer.access_token);
}
