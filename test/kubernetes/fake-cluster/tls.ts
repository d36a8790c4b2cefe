import { type Issued, issue, makeAuthority } from '../../../src/certs/authority.ts';
import { inForce } from '../../certs/material.ts';

export interface TestTls {
  readonly authority: Issued;
  readonly server: Issued;
  readonly client: Issued;
}

/** Of one cluster: its authority, its API server, and a client that the authority knows. */
export async function testTls(): Promise<TestTls> {
  const authority = await makeAuthority('kubernetes', inForce);
  const [server, client] = await Promise.all([
    issue(authority, {
      commonName: 'kube-apiserver',
      names: [{ ip: '127.0.0.1' }],
      usage: 'server',
      validity: inForce,
    }),
    issue(authority, { commonName: 'castellan', names: [], usage: 'client', validity: inForce }),
  ]);
  return { authority, server, client };
}
