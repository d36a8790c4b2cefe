import type { ResourceCeilings, SandboxConfig } from '../config/runtime.ts';
import { canonicalBytes } from '../crypto/canonical-json.ts';
import { type Digest, sha256Digest } from '../crypto/digest.ts';
import { CodedError } from '../errors.ts';
import { type FieldError, ValidationFailed } from '../http/problem.ts';
import type { IsolationState, Limits } from '../runtime/isolation.ts';
import {
  BeyondCeiling,
  ceilingsOf,
  OUTPUT_BYTES,
  resolveDomains,
  resolveLimits,
  resourcesOf,
} from '../runtime/limits.ts';
import { SECRET_PREFIX } from '../runtime/secret-reference.ts';
import type { WorkspaceSettings } from '../workspace-settings/settings.ts';
import {
  DEFAULT_TIMEOUT,
  type IsolationView,
  type LimitsView,
  MAX_COMMANDS_BYTES,
  MAX_ENV_BYTES,
  MAX_TIMEOUT,
  type RunRequest,
} from './schema.ts';

/** A run as it will be made. */
export interface RunPlan {
  readonly commands: readonly string[];
  readonly timeoutSeconds: number;
  /** Not kept anywhere. */
  readonly env: Readonly<Record<string, string>>;
  readonly limits: Limits;
  readonly allowDomains: readonly string[];
  /** Runs that the workspace may have under way at once on this replica. */
  readonly concurrency: number;
}

/** Understood, but a sandbox run cannot have it (422). */
class RunUnusable extends CodedError {
  readonly code = 'UNPROCESSABLE';

  constructor(errors: readonly FieldError[]) {
    super('A sandbox run cannot have this.', { members: { errors } });
  }
}

/** What is asked for within what the service and the workspace allow. Throws ValidationFailed, RunUnusable, BeyondCeiling. */
export function planOf(
  request: RunRequest,
  settings: WorkspaceSettings['sandbox'],
  service: { readonly ceilings: ResourceCeilings; readonly sandbox: SandboxConfig },
): RunPlan {
  const { tests, env = {}, resources, network } = request;
  requireBounded(tests, env);
  const secrets = Object.entries(env).filter(([, value]) => value.startsWith(SECRET_PREFIX));
  if (secrets.length > 0) {
    const detail = 'a sandbox run gets no secrets';
    throw new RunUnusable(secrets.map(([name]) => ({ pointer: `/env/${name}`, detail })));
  }
  const ceiling = settings.maxTimeoutSeconds ?? MAX_TIMEOUT;
  const timeoutSeconds = request.timeout_seconds ?? Math.min(DEFAULT_TIMEOUT, ceiling);
  if (timeoutSeconds > ceiling)
    throw new BeyondCeiling([{ pointer: '/timeout_seconds', detail: `at most ${ceiling} here` }]);
  const { workspaceConcurrency } = service.sandbox;
  const concurrency = Math.min(workspaceConcurrency, settings.maxConcurrentRuns ?? workspaceConcurrency);
  // It would wait for ever, in a line that others wait in as well.
  if (concurrency === 0) throw new RunUnusable([{ pointer: '', detail: 'the workspace allows no sandbox runs' }]);
  return {
    commands: tests,
    timeoutSeconds,
    env,
    limits: resolveLimits(resources, ceilingsOf(service.ceilings, settings), '/resources'),
    allowDomains: resolveDomains(network?.allowDomains, settings.allowDomains ?? [], '/network/allowDomains'),
    concurrency,
  };
}

/** What the plan rests on, without the values of the environment. */
export function planDigest({ commands, timeoutSeconds, env, limits, allowDomains }: RunPlan): Digest {
  const names = Object.keys(env).sort();
  return sha256Digest(canonicalBytes({ commands, timeoutSeconds, env: names, limits: { ...limits }, allowDomains }));
}

export function limitsView({ limits, timeoutSeconds }: RunPlan): LimitsView {
  return { ...resourcesOf(limits), timeout_seconds: timeoutSeconds, output_bytes: OUTPUT_BYTES };
}

export function isolationView(
  { allowDomains }: RunPlan,
  driver: string,
  { limits, version }: Extract<IsolationState, { available: true }>,
): IsolationView {
  return { driver, version, limits, network: allowDomains.length === 0 ? 'none' : 'allowlist' };
}

function requireBounded(tests: readonly string[], env: Readonly<Record<string, string>>): void {
  const errors: FieldError[] = [];
  const size = (texts: readonly string[]) => texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  for (const [index, command] of tests.entries()) {
    if (Buffer.byteLength(command) > 16_384)
      errors.push({ pointer: `/tests/${index}`, detail: 'has over 16,384 bytes' });
  }
  if (size(tests) > MAX_COMMANDS_BYTES) {
    errors.push({ pointer: '/tests', detail: `must not have over ${MAX_COMMANDS_BYTES} bytes together` });
  }
  if (size(Object.entries(env).flat()) > MAX_ENV_BYTES) {
    errors.push({ pointer: '/env', detail: `must not have over ${MAX_ENV_BYTES} bytes together` });
  }
  if (errors.length > 0) throw new ValidationFailed(errors);
}
