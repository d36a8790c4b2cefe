import {
  type CertificateRequest,
  type Issued,
  issue,
  makeAuthority,
  newKey,
  validFor,
} from '../../src/certs/authority.ts';

export const TRUST_DOMAIN = 'castellan.dev';
export const AGENT_ID = '01975a00-0000-7000-8000-00000000000a';

export const inForce = validFor(Date.now(), 30);

/** One authority and one client key for a whole test file: key generation is what costs time. */
export async function testAuthority() {
  const [authority, key] = await Promise.all([makeAuthority('test authority', inForce), newKey()]);
  const client = (uri: string, change: Partial<CertificateRequest> = {}): Promise<Issued> =>
    issue(authority, { commonName: 'client', names: [{ uri }], usage: 'client', validity: inForce, ...change }, key);
  const server = await issue(authority, {
    commonName: 'localhost',
    names: [{ dns: 'localhost' }, { ip: '127.0.0.1' }],
    usage: 'server',
    validity: inForce,
  });
  return { authority, key, client, server };
}
