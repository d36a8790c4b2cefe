import { randomUUID } from 'node:crypto';

import type { Manifest } from '../../delivery/support/kustomize.ts';
import { merged, nameOf, versionOf } from './objects.ts';

export type Plural =
  | 'pods'
  | 'secrets'
  | 'namespaces'
  | 'jobs'
  | 'deployments'
  | 'networkpolicies'
  | 'runtimeclasses'
  | 'roles';

export interface Change {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly plural: Plural;
  readonly object: Manifest;
  readonly version: number;
}

/** What an API server refuses, as a Status. */
export class Refusal extends Error {
  readonly status: number;
  readonly reason: string;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, reason: string, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.status = status;
    this.reason = reason;
    this.headers = headers;
  }
}

/** Objects by kind and name with one version for all, and what has changed since when. */
export interface Store {
  readonly version: number;
  list(plural: Plural): Manifest[];
  get(plural: Plural, name: string): Manifest | undefined;
  create(plural: Plural, object: Manifest): Manifest;
  /** With a version in it, only when that is the current one. */
  replace(plural: Plural, object: Manifest): Manifest;
  /** A merge patch of what is there; undefined when it is not. */
  patch(plural: Plural, name: string, patch: Manifest): Manifest | undefined;
  delete(plural: Plural, name: string): void;
  /** Undefined: it is forgotten what came since. */
  since(plural: Plural, version: number): Change[] | undefined;
  /** Forgets all changes until now. */
  compact(): void;
  onChange(listener: (change: Change) => void): () => void;
}

export function createStore(): Store {
  const objects = new Map<string, Manifest>();
  const listeners = new Set<(change: Change) => void>();
  let history: Change[] = [];
  let [version, compacted] = [1000, 1000];
  const key = (plural: Plural, name: string) => `${plural}/${name}`;

  function tell(type: Change['type'], plural: Plural, object: Manifest): void {
    const change = { type, plural, object, version };
    history.push(change);
    for (const listener of [...listeners]) listener(change);
  }

  function put(type: 'ADDED' | 'MODIFIED', plural: Plural, object: Manifest): Manifest {
    version += 1;
    const stored = merged(object, { metadata: { resourceVersion: String(version) } });
    objects.set(key(plural, nameOf(object)), stored);
    tell(type, plural, stored);
    return stored;
  }

  const store: Store = {
    get version() {
      return version;
    },
    list: (plural) => [...objects].filter(([name]) => name.startsWith(`${plural}/`)).map(([, object]) => object),
    get: (plural, name) => objects.get(key(plural, name)),
    create: (plural, object) => {
      const name = nameOf(object);
      if (objects.has(key(plural, name))) throw new Refusal(409, 'AlreadyExists', `${plural} "${name}" already exists`);
      const metadata = { uid: randomUUID(), creationTimestamp: new Date().toISOString(), generation: 1 };
      return put('ADDED', plural, merged(object, { metadata }));
    },
    replace: (plural, object) => {
      const name = nameOf(object);
      const current = objects.get(key(plural, name));
      if (current === undefined) throw new Refusal(404, 'NotFound', `${plural} "${name}" not found`);
      const asked = versionOf(object);
      if (!Number.isNaN(asked) && asked !== versionOf(current)) {
        throw new Refusal(409, 'Conflict', `the ${plural} "${name}" has been modified`);
      }
      const { uid, creationTimestamp, generation } = Object(current['metadata']);
      const status = current['status'];
      const kept = merged(object, { metadata: { uid, creationTimestamp, generation: generation + 1 } });
      return put('MODIFIED', plural, status === undefined ? kept : { ...kept, status });
    },
    patch: (plural, name, patch) => {
      const current = objects.get(key(plural, name));
      return current && put('MODIFIED', plural, merged(current, patch));
    },
    delete: (plural, name) => {
      const current = objects.get(key(plural, name));
      if (current === undefined) return;
      objects.delete(key(plural, name));
      version += 1;
      tell('DELETED', plural, merged(current, { metadata: { resourceVersion: String(version) } }));
    },
    since: (plural, from) =>
      from < compacted ? undefined : history.filter((change) => change.plural === plural && change.version > from),
    compact: () => {
      history = [];
      compacted = version + 1;
      version += 1;
    },
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  return store;
}
