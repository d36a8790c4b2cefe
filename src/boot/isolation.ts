import type { RuntimeConfig } from '../config/runtime.ts';
import { createEgressListener } from '../egress/listener.ts';
import { createEgressRules, type EgressObserver, type EgressRules } from '../egress/rules.ts';
import type { Logger } from '../logger.ts';
import type { CheckNote } from '../ops.ts';
import { createBubblewrapIsolation } from '../runtime/drivers/bubblewrap/index.ts';
import type { Isolation, IsolationState } from '../runtime/isolation.ts';

interface Parts {
  readonly logger: Logger;
  readonly searchPath: string | undefined;
  readonly observe?: EgressObserver;
}

/** The isolation of the driver that the settings name; undefined: nothing is run here. Nothing is tried before it is asked. */
export async function openIsolation(config: RuntimeConfig, parts: Parts): Promise<Isolation | undefined> {
  const { logger, searchPath, observe } = parts;
  const egressRules = createEgressRules(config.egress, observe === undefined ? {} : { observe });
  if (config.driver === 'off') return undefined;
  if (config.driver === 'kubernetes') return openKubernetes(config, egressRules, logger);
  return createBubblewrapIsolation(config, { logger, egressRules, searchPath });
}

async function openKubernetes(config: RuntimeConfig, rules: EgressRules, logger: Logger): Promise<Isolation> {
  // Loaded only where it is on: its client takes time and memory.
  const { createKubernetesIsolation } = await import('../runtime/drivers/kubernetes/index.ts');
  const { listen } = config.egress;
  const egressListener = listen && createEgressListener(rules, listen);
  // First, for it may fail, and nothing else is open then.
  await egressListener?.listen();
  const isolation = createKubernetesIsolation(config, { logger, egressListener });
  const { close } = isolation;
  // Of the same object: what it tells by getters changes.
  return Object.defineProperty(isolation, 'close', {
    value: async () => {
      await close();
      await egressListener?.close();
    },
  });
}

/** What the last look at it has found. */
export interface IsolationWatch {
  /** Makes the first look, and says in the log what it found; nobody waits for it. */
  begin(): void;
  /** Undefined before the first look is done. Looks again meanwhile, as often as the driver thinks right. */
  known(): IsolationState | undefined;
  /** For /readyz: with `required`, what cannot isolate is not ready. */
  readonly check: () => Promise<CheckNote | undefined>;
}

export function watchIsolation(
  isolation: Isolation,
  { required, logger }: { readonly required: boolean; readonly logger: Logger },
): IsolationWatch {
  let known: IsolationState | undefined;
  let looking: Promise<IsolationState | undefined> | undefined;
  const look = () => {
    looking ??= isolation
      .state()
      .then(
        (state) => {
          if (isNews(known, state)) report(state, isolation.name, logger);
          known = state;
          return state;
        },
        (error: unknown) => {
          logger.error({ err: error }, 'whether processes can be isolated could not be found out');
          return undefined;
        },
      )
      .finally(() => {
        looking = undefined;
      });
    return looking;
  };
  return {
    begin: () => void look(),
    known: () => {
      void look();
      return known;
    },
    check: async () => {
      const looked = look();
      const state = known ?? (required ? await looked : undefined);
      if (state === undefined) return { ok: !required, detail: 'CHECKING' };
      if (state.available) return state.limits === 'degraded' ? { ok: true, detail: 'LIMITS_DEGRADED' } : undefined;
      return { ok: !required, detail: 'ISOLATION_UNAVAILABLE', ...state.problem };
    },
  };
}

function isNews(before: IsolationState | undefined, now: IsolationState): boolean {
  return JSON.stringify(before) !== JSON.stringify(now);
}

function report(state: IsolationState, driver: string, logger: Logger): void {
  if (!state.available)
    logger.warn({ driver, ...state.problem }, 'nothing can be isolated here: agents and sandbox runs are refused');
  else if (state.limits === 'degraded')
    logger.warn({ driver, version: state.version }, 'isolated processes have no limits of memory, processes and disk');
  else logger.info({ driver, version: state.version }, 'processes can be isolated here');
}
