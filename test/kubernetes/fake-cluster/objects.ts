import { isMap, listed, type Manifest, member, type Value } from '../../delivery/support/kustomize.ts';

export function nameOf(object: Manifest): string {
  return String(member(object, 'metadata', 'name'));
}

export function uidOf(object: Manifest): string {
  return String(member(object, 'metadata', 'uid'));
}

export function versionOf(object: Manifest): number {
  return Number(member(object, 'metadata', 'resourceVersion'));
}

export function labelsOf(object: Manifest): Readonly<Record<string, string>> {
  return texts(member(object, 'metadata', 'labels'));
}

export function texts(value: Value | undefined): Record<string, string> {
  return Object.fromEntries(Object.entries(isMap(value) ? value : {}).map(([name, text]) => [name, String(text)]));
}

export function isDeleting(object: Manifest): boolean {
  return member(object, 'metadata', 'deletionTimestamp') !== undefined;
}

export function ownersOf(object: Manifest): readonly string[] {
  return listed(member(object, 'metadata', 'ownerReferences')).map((owner) => String(member(owner, 'uid')));
}

/** The first container of a pod, or of a template. */
export function containerOf(pod: Manifest): Manifest {
  const [container] = listed(member(pod, 'spec', 'containers'));
  if (!isMap(container)) throw new TypeError('a pod without a container');
  return container;
}

/** RFC 7396. */
export function mergePatch(target: Value | undefined, patch: Value): Value {
  if (!isMap(patch)) return patch;
  const result: Record<string, Value> = { ...(isMap(target) ? target : {}) };
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else result[name] = mergePatch(result[name], value);
  }
  return result;
}

export function merged(target: Manifest, patch: Manifest): Manifest {
  const result = mergePatch(target, patch);
  if (!isMap(result)) throw new TypeError('a patch of an object is an object');
  return result;
}

/** `a=b,c!=d`, as much of the language as is used. */
export function selectorOf(text: string | null): (object: Manifest) => boolean {
  const terms = (text ?? '').split(',').filter((term) => term !== '');
  return (object) =>
    terms.every((term) => {
      const [, name = '', operator, value] = /^([^!=]+)(!=|==?)(.*)$/.exec(term) ?? [];
      return (labelsOf(object)[name] === value) === (operator !== '!=');
    });
}

const UNITS: Readonly<Record<string, number>> = { '': 1, m: 0.001, Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30 };

/** A quantity as a number. */
export function quantity(value: Value | undefined): number {
  const [, figure, unit = ''] = /^([\d.]+)(m|Ki|Mi|Gi)?$/.exec(String(value)) ?? [];
  return Number(figure) * (UNITS[unit] ?? Number.NaN);
}
