import { median } from './statistics.ts';

/** One number of the report: the median of what the rounds gave. */
export interface Figure {
  /** The phase and what of it, as in thresholds.json: `start64.ratio`. */
  readonly name: string;
  readonly what: string;
  readonly unit: string;
  readonly value: number;
  readonly samples: readonly number[];
}

export function figure(name: string, what: string, unit: string, samples: readonly number[]): Figure {
  if (samples.length === 0 || samples.some((sample) => !Number.isFinite(sample))) {
    throw new Error(`${name} was not measured: ${samples.join(', ')}`);
  }
  return { name, what, unit, value: median(samples), samples };
}
