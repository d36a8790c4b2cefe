import { readFileSync } from 'node:fs';
import { parse } from 'yaml';

const DOCUMENT = new URL('../../../openapi.yaml', import.meta.url);

/** One operation of the API, as openapi.yaml declares it. */
export interface Operation {
  readonly operationId: string;
  readonly method: string;
  /** With `{parameters}`. */
  readonly path: string;
  readonly permission: string;
  /** Event types it may write. */
  readonly events: readonly string[];
  /** Whether the body must be there. */
  readonly bodyRequired: boolean;
  /** The JSON schema of its body. */
  readonly body?: Readonly<Record<string, unknown>>;
}

interface Declared {
  readonly operationId: string;
  readonly 'x-permission': string;
  readonly 'x-audit-events': readonly string[];
  readonly requestBody?: {
    readonly required?: boolean;
    readonly content: Readonly<Record<string, { readonly schema: Record<string, unknown> }>>;
  };
}

/** Every operation of openapi.yaml. */
export function operations(): Operation[] {
  const { paths }: { paths: Record<string, Record<string, Declared>> } = parse(readFileSync(DOCUMENT, 'utf8'));
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, declared]) => {
      const body = declared.requestBody?.content['application/json']?.schema;
      return {
        operationId: declared.operationId,
        method: method.toUpperCase(),
        path,
        permission: declared['x-permission'],
        events: declared['x-audit-events'],
        bodyRequired: declared.requestBody?.required === true,
        ...(body === undefined ? {} : { body }),
      };
    }),
  );
}

/** Whether it may change something: a POST without events is a question, such as a verification. */
export function changesState({ method, events }: Operation): boolean {
  return method !== 'GET' && events.length > 0;
}

const NOBODY = '01975a00-0000-7000-8000-0000000000ff';

/** What operations that need a query are asked. */
export const QUERIES: Readonly<Record<string, string>> = {
  listTemplates: '?workspace_id=demo',
  getAuditProof: '?seq=1',
  getSystemAuditProof: '?seq=1',
  getAuditConsistency: '?from=1&to=1',
  getSystemAuditConsistency: '?from=1&to=1',
};

/** The path with its parameters filled in, and the query it needs; ids that are not given are of nothing that exists. */
export function pathOf({ path, operationId }: Operation, given: Readonly<Record<string, string>> = {}): string {
  const values: Readonly<Record<string, string>> = {
    workspaceId: 'demo',
    agentId: NOBODY,
    agent_id: given['agentId'] ?? NOBODY,
    run_id: NOBODY,
    template_id: 'nothing',
    decisionId: NOBODY,
    promotionId: NOBODY,
    revalidationId: NOBODY,
    version: '1',
    signerId: 'nobody',
    lockId: NOBODY,
    elevationId: NOBODY,
    principalId: `hu-${NOBODY}`,
    ...given,
  };
  const filled = path.replaceAll(/\{([^}]+)\}/g, (_all, name: string) => {
    const value = values[name];
    if (value === undefined) throw new RangeError(`no value for {${name}}`);
    return value;
  });
  return `${filled}${QUERIES[operationId] ?? ''}`;
}
