import { setTimeout as delay } from 'node:timers/promises';

import { IsolationUnavailable } from '../../../src/runtime/errors.ts';
import type {
  Captured,
  CommandOutcome,
  CommandResult,
  EgressDecision,
  Isolation,
  IsolationState,
  Sandbox,
  SandboxRequest,
} from '../../../src/runtime/isolation.ts';

/** An isolation in memory that does what its commands say. It keeps to the interface: nothing outlives a close. */
export interface ScriptedIsolation extends Isolation {
  readonly requests: SandboxRequest[];
  readonly ran: string[];
  /** Runs of which the rest was removed. */
  readonly discarded: string[];
  /** Sandboxes that are open now, and how many were at once at most. */
  readonly open: { now: number; most: number };
  setState(state: IsolationState): void;
  /** From now on opening throws. */
  breakOpening(broken: boolean): void;
  /** Lets every `hold` go on. */
  releaseAll(): void;
}

const AVAILABLE: IsolationState = { available: true, limits: 'enforced', version: '0.8.0' };

/**
 * Commands: `echo <text>`, `err <text>`, `exit <n>`, `hold` (until released), `sleep <ms>`, `flood <bytes>`, `binary`, `env`,
 * `connect <host>`, and each outcome of the contract by its name.
 */
export function scriptedIsolation(): ScriptedIsolation {
  const requests: SandboxRequest[] = [];
  const ran: string[] = [];
  const discarded: string[] = [];
  const open = { now: 0, most: 0 };
  let state = AVAILABLE;
  let isBroken = false;
  let held = Promise.withResolvers<void>();

  function openSandbox(request: SandboxRequest): Sandbox {
    requests.push(request);
    open.now += 1;
    open.most = Math.max(open.most, open.now);
    const egress: EgressDecision[] = [];
    let isClosed = false;
    return {
      egress,
      run: async (command, { timeoutMs, signal, onOutput }) => {
        if (isClosed) throw new Error('the sandbox is closed');
        ran.push(command);
        const began = performance.now();
        const outputs = { stdout: '', stderr: '' };
        const write = (stream: 'stdout' | 'stderr', text: string) => {
          outputs[stream] += text;
          onOutput?.(stream, Buffer.from(text));
        };
        const over = new AbortController();
        const timeout = delay(timeoutMs, 'timeout' as const, { signal: over.signal }).catch(() => 'timeout' as const);
        const cancelled = new Promise<'cancelled'>((resolve) => {
          if (signal.aborted) resolve('cancelled');
          signal.addEventListener('abort', () => resolve('cancelled'), { once: true });
        });
        const work = script(command, request, write, egress, over.signal);
        const outcome = await Promise.race([work, timeout, cancelled]);
        over.abort();
        return resultOf(outcome, outputs, performance.now() - began);
      },
      close: async () => {
        if (!isClosed) open.now -= 1;
        isClosed = true;
      },
    };
  }

  async function script(
    command: string,
    request: SandboxRequest,
    write: (stream: 'stdout' | 'stderr', text: string) => void,
    egress: EgressDecision[],
    over: AbortSignal,
  ): Promise<CommandOutcome | number> {
    const [, word = '', rest = ''] = /^(\S+) ?(.*)$/s.exec(command) ?? [];
    switch (word) {
      case 'echo':
        write('stdout', `${rest}\n`);
        return 0;
      case 'err':
        write('stderr', `${rest}\n`);
        return 0;
      case 'env':
        write('stdout', JSON.stringify(request.env));
        return 0;
      case 'exit':
        return Number(rest);
      case 'flood':
        write('stdout', 'x'.repeat(Number(rest)));
        return 0;
      case 'sleep':
        await delay(Number(rest), undefined, { signal: over }).catch(() => undefined);
        return 0;
      case 'binary':
        write('stdout', 'a\0\ud800b');
        return 0;
      case 'hold':
        write('stdout', 'held\n');
        await held.promise;
        return 0;
      case 'connect': {
        const allowed = request.allowDomains.includes(rest);
        const verdict = allowed ? ('allowed' as const) : ('denied' as const);
        const code = allowed ? {} : { code: 'NOT_ON_ALLOWLIST' };
        egress.push({
          at: '2026-11-22T00:00:00.000Z',
          host: rest,
          port: 443,
          verdict,
          ...code,
          bytesOut: 1,
          bytesIn: 2,
        });
        return allowed ? 0 : 1;
      }
      default:
        return isOutcome(word) ? word : 127;
    }
  }

  return {
    name: 'bubblewrap',
    requests,
    ran,
    discarded,
    open,
    state: async () => state,
    recheck: async () => state,
    openSandbox: async (request) => {
      if (isBroken) throw new IsolationUnavailable({ check: 'slots', observed: 'all are taken', fix: 'wait' });
      return openSandbox(request);
    },
    discard: async (runId) => {
      discarded.push(runId);
    },
    agents: {
      kind: 'local',
      launch: async () => {
        throw new IsolationUnavailable({ check: 'scripted', observed: 'it runs no agents', fix: 'none' });
      },
    },
    close: async () => undefined,
    setState: (next) => {
      state = next;
    },
    breakOpening: (broken) => {
      isBroken = broken;
    },
    releaseAll: () => {
      held.resolve();
      held = Promise.withResolvers();
    },
  };
}

const OUTCOMES = new Set(['oom', 'output_limit', 'disk_limit', 'setup_failed']);

function isOutcome(word: string): word is CommandOutcome {
  return OUTCOMES.has(word);
}

function resultOf(
  outcome: CommandOutcome | number,
  { stdout, stderr }: { stdout: string; stderr: string },
  durationMs: number,
): CommandResult {
  const exitCode = typeof outcome === 'number' ? outcome : null;
  const byCode = exitCode === 0 ? 'ok' : 'failed';
  return {
    result: typeof outcome === 'number' ? byCode : outcome,
    exitCode,
    signal: exitCode === null ? 'SIGKILL' : null,
    stdout: captured(stdout),
    stderr: captured(stderr),
    durationMs,
    usage: { peakMemoryBytes: 1024, cpuMs: 1 },
  };
}

function captured(text: string): Captured {
  return { text, bytes: Buffer.byteLength(text), truncated: false };
}
