import type { ResourceCeilings } from '../config/runtime.ts';
import { CodedError } from '../errors.ts';
import type { Limits } from './isolation.ts';

const MIB = 1_048_576;

/** Bytes that one command may write, on both streams together; beyond it is ended with output_limit. */
export const OUTPUT_BYTES = 67_108_864;

/** What a sandbox has where nobody says. */
const DEFAULTS: ResourceCeilings = { cpu: 1, memoryMb: 512, pids: 128, diskMb: 256 };
/** Less cannot be enforced, or is not enough for a shell. */
const LEAST: ResourceCeilings = { cpu: 0.01, memoryMb: 8, pids: 8, diskMb: 1 };
const MEMBERS = ['cpu', 'memoryMb', 'pids', 'diskMb'] as const;

/** The members of a spec's `runtime.resources`. */
export type ResourceRequest = { readonly [member in keyof ResourceCeilings]?: number | undefined };

/** What a workspace allows itself; it only lowers what the service allows. */
export interface WorkspaceResourceCeilings {
  readonly maxCpu?: number | undefined;
  readonly maxMemoryMb?: number | undefined;
  readonly maxPids?: number | undefined;
  readonly maxDiskMb?: number | undefined;
}

/** More is asked for than may be had (422); `errors` name the members. */
export class BeyondCeiling extends CodedError {
  readonly code = 'UNPROCESSABLE';

  constructor(errors: readonly { readonly pointer: string; readonly detail: string }[]) {
    super('More is asked for than may be had here.', { members: { errors } });
  }
}

/** The lower of what the service and the workspace allow. */
export function ceilingsOf(service: ResourceCeilings, workspace: WorkspaceResourceCeilings): ResourceCeilings {
  return {
    cpu: Math.min(service.cpu, workspace.maxCpu ?? service.cpu),
    memoryMb: Math.min(service.memoryMb, workspace.maxMemoryMb ?? service.memoryMb),
    pids: Math.min(service.pids, workspace.maxPids ?? service.pids),
    diskMb: Math.min(service.diskMb, workspace.maxDiskMb ?? service.diskMb),
  };
}

/**
 * What a sandbox gets: what is asked for, else the default as far as the ceilings let it. Throws BeyondCeiling; `pointer`
 * leads to what was asked, such as /resources.
 */
export function resolveLimits(asked: ResourceRequest | undefined, ceilings: ResourceCeilings, pointer: string): Limits {
  const errors = MEMBERS.flatMap((member) => {
    const value = asked?.[member];
    if (value === undefined) return [];
    // Not a number compares with nothing: it must be refused, too.
    if (!(value >= LEAST[member])) return [{ pointer: `${pointer}/${member}`, detail: `at least ${LEAST[member]}` }];
    if (value <= ceilings[member]) return [];
    return [{ pointer: `${pointer}/${member}`, detail: `at most ${ceilings[member]} here` }];
  });
  if (errors.length > 0) throw new BeyondCeiling(errors);
  const had = (member: keyof ResourceCeilings) => asked?.[member] ?? Math.min(DEFAULTS[member], ceilings[member]);
  return {
    cpu: had('cpu'),
    memoryBytes: had('memoryMb') * MIB,
    pids: had('pids'),
    diskBytes: had('diskMb') * MIB,
  };
}

/** The members of a spec's `runtime.resources` again. */
export function resourcesOf({ cpu, memoryBytes, pids, diskBytes }: Limits): ResourceCeilings {
  return { cpu, memoryMb: memoryBytes / MIB, pids, diskMb: diskBytes / MIB };
}

/** The hosts that were asked for, each once. Throws BeyondCeiling unless an entry of the ceiling covers each of them. */
export function resolveDomains(
  asked: readonly string[] | undefined,
  ceiling: readonly string[],
  pointer: string,
): readonly string[] {
  const errors = (asked ?? []).flatMap((domain, index) =>
    ceiling.some((entry) => covers(entry, domain))
      ? []
      : [{ pointer: `${pointer}/${index}`, detail: 'is not among the hosts that the workspace allows' }],
  );
  if (errors.length > 0) throw new BeyondCeiling(errors);
  return [...new Set(asked)];
}

/** `*.example.org` stands for its subdomains, not for itself, and covers `*.a.example.org` as well. */
function covers(entry: string, domain: string): boolean {
  if (entry === domain) return true;
  return entry.startsWith('*.') && domain.replace(/^\*\./, '').endsWith(entry.slice(1));
}
