import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

/**
 * Writes test/vectors/kubernetes-schemas.json: closed JSON schemas of the kinds that our manifests use, out of the
 * models in an unpacked `@kubernetes/client-node` (Apache-2.0, generated from the OpenAPI document of Kubernetes):
 *   node scripts/build-kubernetes-schemas.ts <directory of the package>
 * The package is not among the dependencies (83 MB); the schemas change only when a kind is added here.
 */
const KINDS: Readonly<Record<string, string>> = {
  'v1/Namespace': 'V1Namespace',
  'v1/ServiceAccount': 'V1ServiceAccount',
  'v1/ConfigMap': 'V1ConfigMap',
  'v1/Secret': 'V1Secret',
  'v1/Service': 'V1Service',
  'v1/Pod': 'V1Pod',
  'v1/ResourceQuota': 'V1ResourceQuota',
  'v1/LimitRange': 'V1LimitRange',
  'apps/v1/Deployment': 'V1Deployment',
  'batch/v1/Job': 'V1Job',
  'policy/v1/PodDisruptionBudget': 'V1PodDisruptionBudget',
  'networking.k8s.io/v1/NetworkPolicy': 'V1NetworkPolicy',
  'autoscaling/v2/HorizontalPodAutoscaler': 'V2HorizontalPodAutoscaler',
  'rbac.authorization.k8s.io/v1/Role': 'V1Role',
  'rbac.authorization.k8s.io/v1/RoleBinding': 'V1RoleBinding',
  'rbac.authorization.k8s.io/v1/ClusterRole': 'V1ClusterRole',
  'rbac.authorization.k8s.io/v1/ClusterRoleBinding': 'V1ClusterRoleBinding',
};

interface Attribute {
  readonly baseName: string;
  readonly type: string;
}

type Schema = Readonly<Record<string, unknown>>;

const PRIMITIVES: Readonly<Record<string, Schema>> = {
  string: { type: 'string' },
  // None of the kinds has a fraction.
  number: { type: 'integer' },
  boolean: { type: 'boolean' },
  IntOrString: { type: ['integer', 'string'] },
  Date: { type: 'string' },
  V1MicroTime: { type: 'string' },
  object: { type: 'object' },
  any: {},
};

const [, , given] = process.argv;
if (given === undefined) throw new Error('which directory has @kubernetes/client-node?');
const root = resolve(given);
const models = join(root, 'dist/gen/models');
const manifest: { name: string; version: string; license: string } = JSON.parse(
  readFileSync(join(root, 'package.json'), 'utf8'),
);
const release = /OpenAPI spec version: release-(\S+)/.exec(readFileSync(join(models, 'V1Pod.js'), 'utf8'))?.[1];

const definitions = new Map<string, Schema>();
const waiting = Object.values(KINDS);
for (let model = waiting.pop(); model !== undefined; model = waiting.pop()) {
  if (!definitions.has(model)) definitions.set(model, await schemaOf(model));
}
const lines = [...definitions]
  .sort(([a], [b]) => (a < b ? -1 : 1))
  .map(([name, one]) => `"${name}": ${JSON.stringify(one)}`);
const source = `${manifest.name} ${manifest.version} (${manifest.license}, The Kubernetes Authors), Kubernetes ${release}`;
writeFileSync(
  new URL('../test/vectors/kubernetes-schemas.json', import.meta.url),
  `{\n"source": ${JSON.stringify(source)},\n"kinds": ${JSON.stringify(KINDS)},\n"definitions": {\n${lines.join(',\n')}\n}\n}\n`,
);

/** Closed, without the status: manifests do not write it. */
async function schemaOf(model: string): Promise<Schema> {
  const module: Record<string, { readonly attributeTypeMap: readonly Attribute[] }> = await import(
    pathToFileURL(join(models, `${model}.js`)).href
  );
  const attributes = (module[model]?.attributeTypeMap ?? []).filter(
    ({ baseName }) => baseName !== 'status' || !Object.values(KINDS).includes(model),
  );
  const declared = readFileSync(join(models, `${model}.d.ts`), 'utf8');
  const required = attributes.map(({ baseName }) => baseName).filter((name) => declared.includes(`    '${name}': `));
  return {
    type: 'object',
    additionalProperties: false,
    ...(required.length > 0 ? { required } : {}),
    properties: Object.fromEntries(attributes.map(({ baseName, type }) => [baseName, schema(type)])),
  };
}

function schema(type: string): Schema {
  const primitive = PRIMITIVES[type];
  if (primitive !== undefined) return primitive;
  const item = /^(?:Array|Set)<(.+)>$/.exec(type)?.[1];
  if (item !== undefined) return { type: 'array', items: schema(item) };
  const value = /^\{ \[key: string\]: (.+); \}$/.exec(type)?.[1];
  if (value !== undefined) return { type: 'object', additionalProperties: schema(value) };
  if (!/^[A-Za-z]*V\d[A-Za-z0-9]*$/.test(type)) throw new Error(`what is ${type}?`);
  waiting.push(type);
  return { $ref: `#/definitions/${type}` };
}
