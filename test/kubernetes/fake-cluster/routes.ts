import type { IncomingMessage } from 'node:http';

import type { Asked } from './access.ts';
import type { Plural } from './store.ts';

/** What a request is about. */
export interface Target extends Asked {
  readonly plural: Plural;
  readonly query: URLSearchParams;
}

const GROUPS: Readonly<Record<string, readonly Plural[]>> = {
  '': ['pods', 'secrets', 'namespaces'],
  apps: ['deployments'],
  batch: ['jobs'],
  'networking.k8s.io': ['networkpolicies'],
  'node.k8s.io': ['runtimeclasses'],
};

const VERBS: Readonly<Record<string, string>> = { POST: 'create', PUT: 'update', PATCH: 'patch', DELETE: 'delete' };

/** Undefined for what there is not. */
export function targetOf({ method = 'GET', url = '/' }: IncomingMessage, namespace: string): Target | undefined {
  const { pathname, searchParams: query } = new URL(url, 'https://cluster');
  const [, root = '', ...rest] = pathname.split('/');
  const group = root === 'apis' ? (rest.shift() ?? '') : '';
  rest.shift();
  if (rest[0] === 'namespaces' && rest.length > 2) {
    if (rest[1] !== namespace) return undefined;
    rest.splice(0, 2);
  }
  const [resource = '', name = '', subresource = ''] = rest;
  const plural = GROUPS[group]?.find((one) => one === resource);
  if (plural === undefined) return undefined;
  const read = name !== '' ? 'get' : query.get('watch') === 'true' ? 'watch' : 'list';
  return { verb: VERBS[method] ?? read, group, resource, subresource, name, plural, query };
}
