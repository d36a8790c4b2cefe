import type { EgressRules } from '../../../egress/rules.ts';
import { RUN_LIMITS } from '../../../egress/session.ts';
import type { CommandResult, Sandbox, SandboxRequest } from '../../isolation.ts';
import type { ChainHost } from './chain-host.ts';
import { openEgressLink } from './egress-link.ts';
import type { Places } from './place.ts';
import { runCommand } from './run-command.ts';

/** What sandboxes and replicas are made of. */
export interface IsolationParts {
  readonly host: ChainHost;
  readonly places: Places;
  readonly egressRules: EgressRules;
}

/** Throws IsolationUnavailable. */
export async function openSandbox(parts: IsolationParts, request: SandboxRequest): Promise<Sandbox> {
  const { host, places, egressRules: rules } = parts;
  const place = await places.open(request.limits);
  const egress = await openEgressLink(place, {
    allowDomains: request.allowDomains,
    rules,
    limits: RUN_LIMITS,
  }).catch(async (error: unknown) => {
    await place.release();
    throw error;
  });
  const closing = new AbortController();
  let last: Promise<unknown> = Promise.resolve();
  let closed: Promise<void> | undefined;

  async function close(): Promise<void> {
    closing.abort();
    await last;
    await egress.close();
    await place.release();
  }

  return {
    // One after another: they share the workspace and the counters.
    run(command, { timeoutMs, signal, onOutput }): Promise<CommandResult> {
      const done = last.then(() =>
        runCommand(host, place, {
          command: ['/bin/sh', '-c', '--', command],
          env: request.env,
          egressSocket: egress.socket,
          timeoutMs,
          signal: AbortSignal.any([signal, closing.signal]),
          onOutput,
        }),
      );
      last = done;
      return done;
    },
    get egress() {
      return egress.decisions;
    },
    close: () => {
      closed ??= close();
      return closed;
    },
  };
}
