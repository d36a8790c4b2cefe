import type { AdmissionSubject } from '../admission/subject.ts';
import type { ResourceCeilings } from '../config/runtime.ts';
import { RuntimeUnsupported } from '../runtime/errors.ts';
import type { Limits } from '../runtime/isolation.ts';
import { ceilingsOf, resolveDomains, resolveLimits } from '../runtime/limits.ts';
import { SECRET_PREFIX } from '../runtime/secret-reference.ts';
import type { WorkspaceSettings } from '../workspace-settings/settings.ts';
import { specOf } from './spec.ts';

const SECRET_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
/** Where an agent finds its secrets. */
const SECRETS = '/run/secrets';

/** What is to be run for each replica of an agent. */
export interface RuntimePlan {
  readonly image: string | undefined;
  readonly command: readonly string[] | undefined;
  readonly args: readonly string[];
  /** Of a secret only where its file is. */
  readonly env: Readonly<Record<string, string>>;
  /** Names of the secrets that it gets as files. */
  readonly secrets: readonly string[];
  readonly limits: Limits;
  readonly allowDomains: readonly string[];
}

/** What bounds a plan: the driver, the service and the workspace. */
export interface PlanBounds {
  readonly kind: 'local' | 'cluster';
  readonly ceilings: ResourceCeilings;
  readonly workspace: WorkspaceSettings['sandbox'];
}

/**
 * What an agent's spec asks to be run, as far as its mode lets it: a sandbox agent has no network and no secrets. Throws
 * RuntimeUnsupported for what this driver does not have, and BeyondCeiling.
 */
export function runtimePlan({ mode, spec }: Pick<AdmissionSubject, 'mode' | 'spec'>, bounds: PlanBounds): RuntimePlan {
  const { runtime = {}, containment } = specOf(spec?.json);
  const { image, command, args = [] } = runtime;
  if (image !== undefined && bounds.kind === 'local') {
    throw new RuntimeUnsupported('an image needs a cluster; here agents are run by their command');
  }
  if (image === undefined && command === undefined) {
    throw new RuntimeUnsupported('the runtime of the spec names neither a command nor an image');
  }
  const ceilings = ceilingsOf(bounds.ceilings, bounds.workspace);
  const mayCall = mode === 'governed' && containment?.externalCalls === true;
  return {
    image,
    command,
    args,
    ...environment(runtime.env ?? {}, mode),
    limits: resolveLimits(runtime.resources, ceilings, '/spec/runtime/resources'),
    allowDomains: mayCall
      ? resolveDomains(
          runtime.network?.allowDomains,
          bounds.workspace.allowDomains ?? [],
          '/spec/runtime/network/allowDomains',
        )
      : [],
  };
}

function environment(
  asked: Readonly<Record<string, string>>,
  mode: AdmissionSubject['mode'],
): Pick<RuntimePlan, 'env' | 'secrets'> {
  const env: Record<string, string> = {};
  const secrets = new Set<string>();
  for (const [name, value] of Object.entries(asked)) {
    if (!value.startsWith(SECRET_PREFIX)) {
      env[name] = value;
      continue;
    }
    const secret = value.slice(SECRET_PREFIX.length);
    if (mode !== 'governed') throw new RuntimeUnsupported(`env ${name}: only a governed agent gets secrets`);
    if (!SECRET_NAME.test(secret)) throw new RuntimeUnsupported(`env ${name}: secretRef does not name a secret`);
    secrets.add(secret);
    env[`${name}_FILE`] = `${SECRETS}/${secret}`;
  }
  return { env, secrets: [...secrets] };
}
