/** One development client: file name, SPIFFE path below the trust domain, and its entry in the identity map. */
export interface DevelopmentClient {
  readonly name: string;
  readonly path: string;
  /** Absent for an agent: its certificate says everything. */
  readonly entry?: {
    readonly kind: 'human' | 'service';
    readonly role: string;
    readonly workspaces: readonly string[];
  };
}

/** The sample agent that `agent.crt` belongs to. Fixed, so that walks and examples can name it. */
export const SAMPLE_AGENT_ID = '01975a00-0000-7000-8000-000000000001';

const DEMO = ['demo'];
const ALL = ['*'];

/** Exactly the clients of the contract (§13). */
export const CLIENTS: readonly DevelopmentClient[] = [
  {
    name: 'orchestrator',
    path: '/service/orchestrator',
    entry: { kind: 'service', role: 'orchestrator', workspaces: DEMO },
  },
  { name: 'operator', path: '/human/operator', entry: { kind: 'human', role: 'operator', workspaces: DEMO } },
  {
    name: 'kernel-approver',
    path: '/human/kernel-approver',
    entry: { kind: 'human', role: 'kernel-approver', workspaces: DEMO },
  },
  { name: 'agent', path: `/ws/demo/agent/${SAMPLE_AGENT_ID}` },
  { name: 'gateway', path: '/service/gateway', entry: { kind: 'service', role: 'gateway', workspaces: DEMO } },
  {
    name: 'kernel-admin',
    path: '/human/kernel-admin',
    entry: { kind: 'human', role: 'kernel-admin', workspaces: ALL },
  },
  { name: 'auditor', path: '/human/auditor', entry: { kind: 'human', role: 'auditor', workspaces: ALL } },
  { name: 'outsider', path: '/human/outsider', entry: { kind: 'human', role: 'operator', workspaces: ['other'] } },
];

/** The SPIFFE ID in the client's certificate. */
export function clientUri(client: DevelopmentClient, trustDomain: string): string {
  return `spiffe://${trustDomain}${client.path}`;
}

/** The identity map that belongs to the certificates. */
export function identityMapOf(trustDomain: string): object {
  const principals = CLIENTS.flatMap((client) => {
    if (client.entry === undefined) return [];
    const { kind, role, workspaces } = client.entry;
    return [{ match: { spiffe: clientUri(client, trustDomain) }, id: client.name, kind, roles: [role], workspaces }];
  });
  return { principals };
}
