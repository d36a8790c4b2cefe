import type { JsonObject } from './bundle.ts';
import type { BundleProblem } from './errors.ts';
import { POLICY_PACKAGES, type PolicyPackage } from './evaluator/engine.ts';

const NAMESPACE = 'castellan';

/** The packages of a bundle and the files of each, as `opa inspect` names them (`data.castellan.promotion`). */
export type Namespaces = ReadonlyMap<string, readonly string[]>;

/** The packages that the service asks, in the order of POLICY_PACKAGES. */
export function knownPackages(namespaces: Namespaces): PolicyPackage[] {
  return POLICY_PACKAGES.filter((name) => namespaces.has(`data.${name}`));
}

/** What is wrong with the set of packages and the place of the data, whatever the rules say. */
export function packageProblems(namespaces: Namespaces, data: JsonObject): BundleProblem[] {
  const problems: BundleProblem[] = [];
  if (!namespaces.has('data.castellan.promotion'))
    problems.push({ detail: 'the package castellan.promotion is missing' });
  for (const [namespace, files] of namespaces) {
    const path = packagePath(namespace);
    const file = files[0] ?? '';
    if (path === undefined) problems.push({ file, detail: `the name of the package ${namespace} is not plain` });
    else if (path.join('.') === NAMESPACE) {
      problems.push({
        file,
        detail: 'rules belong in castellan.promotion, castellan.runtime or castellan.interaction',
      });
    } else if (hasData(data, path)) {
      problems.push({ file, detail: `the data has a value at the path of the package ${path.join('.')}` });
    }
  }
  return problems;
}

/** True for a package that must define `deny`: every one under `castellan`. */
export function mustDeny(namespace: string): boolean {
  return namespace.startsWith(`data.${NAMESPACE}.`);
}

/** `deny` must be a partial set: as a value, function or default it could be undefined, or hide what another rule says. */
export function denyProblem(rules: readonly unknown[]): string | undefined {
  const denies = rules.filter((rule) => refOf(rule)[0] === 'deny');
  if (denies.length === 0) return 'does not define deny';
  return denies.every(isPartialSet) ? undefined : 'defines deny as something else than `deny contains …`';
}

function isPartialSet(rule: unknown): boolean {
  if (!isObject(rule) || rule['default'] === true || !isObject(rule['head'])) return false;
  const { key, value, args } = rule['head'];
  return refOf(rule).length === 1 && key !== undefined && value === undefined && args === undefined;
}

function refOf(rule: unknown): unknown[] {
  const head = isObject(rule) ? rule['head'] : undefined;
  const ref = isObject(head) ? head['ref'] : undefined;
  return Array.isArray(ref) ? ref.map((term: unknown) => (isObject(term) ? term['value'] : undefined)) : [];
}

function packagePath(namespace: string): string[] | undefined {
  const [root, ...path] = namespace.split('.');
  const isPlain = root === 'data' && path.length > 0 && path.every((name) => /^[A-Za-z_][A-Za-z0-9_]*$/.test(name));
  return isPlain ? path : undefined;
}

function hasData(data: JsonObject, path: readonly string[]): boolean {
  let at: unknown = data;
  for (const name of path) {
    if (!isObject(at)) return true;
    if (!Object.hasOwn(at, name)) return false;
    at = at[name];
  }
  return true;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
