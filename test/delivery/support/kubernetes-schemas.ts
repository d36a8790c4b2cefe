import { readFileSync } from 'node:fs';
import { Ajv, type ValidateFunction } from 'ajv';

import { identity, type Manifest } from './kustomize.ts';

interface Schemas {
  readonly kinds: Readonly<Record<string, string>>;
  readonly definitions: object;
}

const schemas: Schemas = JSON.parse(
  readFileSync(new URL('../../vectors/kubernetes-schemas.json', import.meta.url), 'utf8'),
);
const ajv = new Ajv({ allErrors: true, strict: false });
ajv.addSchema({ $id: 'kubernetes', definitions: schemas.definitions });

const closed = (properties: object, required: readonly string[] = []) => ({
  type: 'object',
  additionalProperties: false,
  properties,
  required,
});
const strings = { type: 'array', items: { type: 'string' } };
const duration = { type: 'string', pattern: '^[1-9]\\d*s$' };

/** By hand, for it comes with an operator: the members that we use, as the Prometheus operator's API reference has them. */
const SERVICE_MONITOR = closed(
  {
    apiVersion: { const: 'monitoring.coreos.com/v1' },
    kind: { const: 'ServiceMonitor' },
    metadata: { $ref: 'kubernetes#/definitions/V1ObjectMeta' },
    spec: closed(
      {
        selector: { $ref: 'kubernetes#/definitions/V1LabelSelector' },
        namespaceSelector: closed({ any: { type: 'boolean' }, matchNames: strings }),
        endpoints: {
          type: 'array',
          items: closed(
            { port: { type: 'string' }, path: { type: 'string' }, interval: duration, scrapeTimeout: duration },
            ['port'],
          ),
        },
      },
      ['selector', 'endpoints'],
    ),
  },
  ['apiVersion', 'kind', 'metadata', 'spec'],
);

const VALIDATORS: ReadonlyMap<string, ValidateFunction> = new Map([
  ['monitoring.coreos.com/v1/ServiceMonitor', ajv.compile(SERVICE_MONITOR)],
  ...Object.entries(schemas.kinds).map(([kind, model]): [string, ValidateFunction] => [
    kind,
    ajv.compile({ $ref: `kubernetes#/definitions/${model}` }),
  ]),
]);

/** What the API server would refuse or drop: unknown kinds and members, wrong types, missing members. */
export function schemaProblems(objects: readonly Manifest[]): string[] {
  return objects.flatMap((object) => {
    const validate = VALIDATORS.get(`${object['apiVersion']}/${object['kind']}`);
    if (validate === undefined) return [`${identity(object)}: no such kind`];
    validate(object);
    return (validate.errors ?? []).map(({ instancePath, message, params }) => {
      const what = 'additionalProperty' in params ? ` ${params['additionalProperty']}` : '';
      return `${identity(object)}: ${instancePath || '/'} ${message}${what}`;
    });
  });
}
