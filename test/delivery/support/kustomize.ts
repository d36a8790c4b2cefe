import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';

/** A Kubernetes object, or a part of one. */
export type Manifest = { readonly [name: string]: Value };
export type Value = string | number | boolean | null | readonly Value[] | Manifest;

interface Kustomization {
  readonly namespace?: string;
  readonly resources?: readonly string[];
  readonly components?: readonly string[];
  readonly images?: readonly { readonly name: string; readonly newName: string; readonly newTag: string }[];
  readonly patches?: readonly { readonly path: string }[];
}

/** All that a kustomization of ours may say; the rest of Kustomize is not here. */
const KEYS = ['apiVersion', 'kind', 'namespace', 'resources', 'components', 'images', 'patches'];
/** Kinds that are in no namespace. */
const OF_THE_CLUSTER = ['Namespace', 'ClusterRole', 'ClusterRoleBinding'];
/** By which member the items of a list are the same ones. Other lists are replaced. */
const MERGE_KEYS: Readonly<Record<string, readonly string[]>> = {
  containers: ['name'],
  volumes: ['name'],
  volumeMounts: ['mountPath'],
  env: ['name'],
  ports: ['containerPort', 'port'],
};

/** The objects of a folder, as `kubectl kustomize` makes them; a test compares the two where kubectl is there. */
export function kustomized(folder: string): Manifest[] {
  const it = kustomizationOf(folder);
  const merged = [
    ...(it.resources ?? []).flatMap((name) => objects(join(folder, name))),
    ...(it.components ?? []).flatMap((name) => objectsOf(join(folder, name), kustomizationOf(join(folder, name)))),
  ];
  const patches = [
    ...(it.components ?? []).flatMap((name) => patchesOf(join(folder, name), kustomizationOf(join(folder, name)))),
    ...patchesOf(folder, it),
  ];
  return transformed(patches.reduce(patched, merged), it);
}

/** Objects of a YAML file, as Kubernetes reads it: 0400 is octal. */
export function documents(text: string): Manifest[] {
  return parseAllDocuments(text, { version: '1.1' }).flatMap((document) => {
    const [error] = document.errors;
    if (error !== undefined) throw error;
    const object: Manifest | null = document.toJS();
    return object === null ? [] : [object];
  });
}

export function isMap(value: Value | undefined): value is Manifest {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `member(object, 'spec', 'template')`; undefined where there is none. */
export function member(value: Value | undefined, ...path: readonly string[]): Value | undefined {
  return path.reduce<Value | undefined>((at, name) => (isMap(at) ? at[name] : undefined), value);
}

export function listed(value: Value | undefined): readonly Value[] {
  return Array.isArray(value) ? value : [];
}

/** What tells one object from another. */
export function identity(object: Manifest): string {
  const { apiVersion, kind } = object;
  return [apiVersion, kind, member(object, 'metadata', 'namespace') ?? '', member(object, 'metadata', 'name')].join(
    ' ',
  );
}

function kustomizationOf(folder: string): Kustomization {
  const it: Kustomization = parse(readFileSync(join(folder, 'kustomization.yaml'), 'utf8'));
  const unknown = Object.keys(it).filter((key) => !KEYS.includes(key));
  if (unknown.length > 0) throw new Error(`${folder}: ${unknown.join()} is not known here`);
  return it;
}

function objects(path: string): Manifest[] {
  return statSync(path).isDirectory() ? kustomized(path) : documents(readFileSync(path, 'utf8'));
}

function objectsOf(folder: string, { resources = [] }: Kustomization): Manifest[] {
  return resources.flatMap((name) => objects(join(folder, name)));
}

function patchesOf(folder: string, { patches = [] }: Kustomization): Manifest[] {
  return patches.flatMap(({ path }) => documents(readFileSync(join(folder, path), 'utf8')));
}

function patched(all: readonly Manifest[], patch: Manifest): Manifest[] {
  const same = (one: Manifest) =>
    one['kind'] === patch['kind'] && member(one, 'metadata', 'name') === member(patch, 'metadata', 'name');
  if (all.filter(same).length !== 1) throw new Error(`what does ${identity(patch)} change?`);
  return all.map((one) => (same(one) ? mergedMap(one, patch) : one));
}

function mergedMap(base: Manifest, patch: Manifest): Manifest {
  const names = new Set([...Object.keys(base), ...Object.keys(patch)]);
  const entries = [...names].flatMap((name): [string, Value][] => {
    const value = merged(name, base[name], patch[name]);
    return value === undefined || value === null ? [] : [[name, value]];
  });
  return Object.fromEntries(entries);
}

/** `null` in a patch takes away. */
function merged(name: string, base: Value | undefined, patch: Value | undefined): Value | undefined {
  if (patch === undefined) return base;
  if (isMap(base) && isMap(patch)) return mergedMap(base, patch);
  const key = (MERGE_KEYS[name] ?? []).find((one) => listed(patch).every((item) => member(item, one) !== undefined));
  if (!Array.isArray(base) || !Array.isArray(patch) || key === undefined) return patch;
  const same = (a: Value) => (b: Value) => member(a, key) === member(b, key);
  const changed = listed(base).map((item) => merged('', item, listed(patch).find(same(item))) ?? item);
  // New items come first, as Kustomize has it.
  return [...listed(patch).filter((item) => !listed(base).some(same(item))), ...changed];
}

function transformed(all: readonly Manifest[], { namespace, images = [] }: Kustomization): Manifest[] {
  const places = (object: Manifest): Manifest =>
    namespace === undefined || OF_THE_CLUSTER.includes(String(object['kind']))
      ? object
      : mergedMap(object, { metadata: { namespace } });
  return all.map((object) => mergedMap(places(object), withImages(object, images)));
}

function withImages(object: Manifest, images: Kustomization['images'] = []): Manifest {
  const containers = listed(member(object, 'spec', 'template', 'spec', 'containers'));
  const renamed = containers.flatMap((container) => {
    const image = images.find(({ name }) => name === member(container, 'image'));
    if (!isMap(container) || image === undefined) return [];
    return [{ ...container, image: `${image.newName}:${image.newTag}` }];
  });
  return renamed.length === 0 ? {} : { spec: { template: { spec: { containers: renamed } } } };
}
