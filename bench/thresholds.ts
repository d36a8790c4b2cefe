import { readFileSync } from 'node:fs';

import type { Figure } from './support/figure.ts';

interface Threshold {
  readonly min?: number;
  readonly max?: number;
}

export interface Verdict {
  readonly name: string;
  readonly value: number;
  /** `≥ 0.5` */
  readonly goal: string;
  readonly met: boolean;
}

/** The figures that have a threshold in thresholds.json, compared with it. */
export function judge(figures: readonly Figure[]): Verdict[] {
  const thresholds = readThresholds();
  return figures.flatMap(({ name, value }) => {
    const threshold = thresholds[name];
    if (threshold === undefined) return [];
    const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY } = threshold;
    const goal = threshold.min === undefined ? `≤ ${max}` : `≥ ${min}`;
    return [{ name, value, goal, met: value >= min && value <= max }];
  });
}

/** Throws when a threshold has no figure: a complete run measures all of them. */
export function requireAll(figures: readonly Figure[]): void {
  const missing = Object.keys(readThresholds()).filter((name) => !figures.some((figure) => figure.name === name));
  if (missing.length > 0) throw new Error(`not measured: ${missing.join(', ')}`);
}

function readThresholds(): Readonly<Record<string, Threshold>> {
  return JSON.parse(readFileSync(new URL('./thresholds.json', import.meta.url), 'utf8'));
}
