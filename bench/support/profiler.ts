import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { connectInspector } from './inspector.ts';

/** µs between two samples. */
const INTERVAL_US = 500;
/** Functions named in the summary. */
const SHOWN = 25;

interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
}

interface CpuProfile {
  readonly nodes: readonly ProfileNode[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** Records what the main thread of a process spends its time on; the process was started with --inspect. */
export interface Profiler {
  /** Profiles `work` and writes `<name>.cpuprofile` and a summary, `<name>.txt`. */
  during<T>(name: string, work: () => Promise<T>): Promise<T>;
  close(): void;
}

export async function connectProfiler(inspector: string, directory: string): Promise<Profiler> {
  const { send, close } = await connectInspector(inspector);
  await send('Profiler.enable');
  await send('Profiler.setSamplingInterval', { interval: INTERVAL_US });
  await mkdir(directory, { recursive: true });

  return {
    during: async (name, work) => {
      await send('Profiler.start');
      try {
        return await work();
      } finally {
        const { profile } = profileIn(await send('Profiler.stop'));
        await writeFile(join(directory, `${name}.cpuprofile`), JSON.stringify(profile));
        await writeFile(join(directory, `${name}.txt`), summary(profile));
      }
    },
    close,
  };
}

function profileIn(result: unknown): { profile: CpuProfile } {
  if (typeof result === 'object' && result !== null && 'profile' in result) {
    // The inspector's own form (Chrome DevTools Protocol, Profiler.Profile).
    return { profile: result.profile as CpuProfile };
  }
  throw new Error('the inspector gave no profile');
}

/** The functions with the most time of their own, as shares of the time that was not idle. */
function summary({ nodes, samples, timeDeltas }: CpuProfile): string {
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]));
  const own = new Map<string, number>();
  let total = 0;
  samples.forEach((id, index) => {
    const frame = frames.get(id);
    if (frame === undefined || frame.functionName === '(idle)') return;
    const time = timeDeltas[index] ?? 0;
    const place =
      frame.url === '' ? '' : ` ${frame.url.replace(/^.*\/(?=src|node_modules)/, '')}:${frame.lineNumber + 1}`;
    const name = `${frame.functionName || '(anonymous)'}${place}`;
    own.set(name, (own.get(name) ?? 0) + time);
    total += time;
  });
  const lines = [...own].sort(([, a], [, b]) => b - a).slice(0, SHOWN);
  const share = (time: number) => `${((time / total) * 100).toFixed(1).padStart(5)} %`;
  return `${(total / 1e6).toFixed(2)} s busy\n${lines.map(([name, time]) => `${share(time)}  ${name}`).join('\n')}\n`;
}
