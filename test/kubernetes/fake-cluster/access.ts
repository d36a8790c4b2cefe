import { listed, type Manifest, member } from '../../delivery/support/kustomize.ts';

export interface Asked {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource: string;
  readonly name: string;
}

/** Whether roles allow it, as the authorizer of Kubernetes reads them. */
export function isAllowed(roles: readonly Manifest[], { verb, group, resource, subresource, name }: Asked): boolean {
  const wanted = subresource === '' ? resource : `${resource}/${subresource}`;
  const has = (rule: Manifest, field: string, value: string) =>
    listed(rule[field]).some((one) => one === value || one === '*');
  return roles
    .flatMap((role) => listed(role['rules']))
    .some((value) => {
      const rule: Manifest = Object(value);
      const names = listed(rule['resourceNames']);
      return (
        has(rule, 'verbs', verb) &&
        has(rule, 'apiGroups', group) &&
        has(rule, 'resources', wanted) &&
        (names.length === 0 || names.includes(name))
      );
    });
}

/** A SelfSubjectAccessReview with its answer. */
export function reviewed(roles: readonly Manifest[], review: Manifest): Manifest {
  const attributes = member(review, 'spec', 'resourceAttributes');
  const text = (name: string) => String(member(attributes, name) ?? '');
  const [verb, group, resource, subresource, name] = ['verb', 'group', 'resource', 'subresource', 'name'].map(text);
  const asked = {
    verb: verb ?? '',
    group: group ?? '',
    resource: resource ?? '',
    subresource: subresource ?? '',
    name: name ?? '',
  };
  return { ...review, status: { allowed: isAllowed(roles, asked) } };
}
