/** One rule of a Role: the verbs that the driver uses, and asks for before it runs anything. */
export interface Permission {
  readonly group: string;
  readonly resource: string;
  readonly subresource?: string;
  readonly verbs: readonly string[];
}

/** What the driver asks of its namespace; deploy/kubernetes/agents/role.yaml grants exactly this. */
export const PERMISSIONS: readonly Permission[] = [
  { group: 'apps', resource: 'deployments', verbs: ['create', 'delete', 'get', 'list', 'update', 'watch'] },
  { group: 'batch', resource: 'jobs', verbs: ['create', 'delete', 'list'] },
  { group: '', resource: 'pods', verbs: ['delete', 'list', 'patch', 'watch'] },
  // A WebSocket begins as a GET; newer API servers ask for create as well.
  { group: '', resource: 'pods', subresource: 'exec', verbs: ['create', 'get'] },
  { group: '', resource: 'pods', subresource: 'log', verbs: ['get'] },
  // Only what the driver itself has put there: the namespace is for nothing else.
  { group: '', resource: 'secrets', verbs: ['create', 'delete', 'get', 'update'] },
  { group: '', resource: 'namespaces', verbs: ['get'] },
  { group: 'networking.k8s.io', resource: 'networkpolicies', verbs: ['list'] },
];

/** Only where a RuntimeClass is set; it belongs to no namespace, so this takes a ClusterRole. */
export const RUNTIME_CLASS_PERMISSION: Permission = {
  group: 'node.k8s.io',
  resource: 'runtimeclasses',
  verbs: ['get'],
};
