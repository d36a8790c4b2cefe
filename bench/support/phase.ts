import type { BenchOptions } from '../options.ts';
import type { Figure } from './figure.ts';
import type { Load, LoadResult } from './load.ts';
import type { Server, World } from './world.ts';

/** What a phase works with. */
export interface Bench {
  readonly options: BenchOptions;
  readonly world: World;
  /** Runs a load against the service or its baseline, measured as `name`. */
  load(name: string, server: Server, load: Omit<Load, 'target'>): Promise<LoadResult>;
  /** Has the service profiled as `name` during `work`, when profiles are asked for. */
  profile<T>(name: string, work: () => Promise<T>): Promise<T>;
  /** Says on stderr what is being done. */
  say(text: string): void;
}

export interface Phase {
  readonly name: string;
  readonly what: string;
  run(bench: Bench): Promise<Figure[]>;
}
