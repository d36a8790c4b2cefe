import type { Figure } from './support/figure.ts';
import type { Verdict } from './thresholds.ts';

/** Cores taken by others from which a reader is warned. */
const BUSY_CORES = 0.2;

/** One line per figure: name, median, the range over the rounds, unit, what it is, and the goal where there is one. */
export function table(figures: readonly Figure[], verdicts: readonly Verdict[]): string {
  const rows = figures.map((one) => {
    const verdict = verdicts.find(({ name }) => name === one.name);
    const goal = verdict === undefined ? '' : `${verdict.goal} ${verdict.met ? 'met' : 'FELL SHORT'}`;
    const range = `${short(Math.min(...one.samples))} – ${short(Math.max(...one.samples))}`;
    return [one.name, short(one.value), one.unit, range, goal, one.what];
  });
  const head = ['figure', 'median', 'unit', 'range', 'goal', 'what'];
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  return [head, ...rows]
    .map((row) =>
      row
        .map((cell, column) => pad(cell, widths[column] ?? 0, column === 1))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** Said when the machine had other things to do than the bench. */
export function caution(figures: readonly Figure[]): string[] {
  const worst = Math.max(0, ...figures.filter(({ name }) => name.endsWith('.foreign')).map(({ value }) => value));
  if (worst < BUSY_CORES) return [];
  return [
    `Caution: up to ${short(worst)} cores were busy with something else; the figures are those of a busy machine.`,
  ];
}

/** The last line of every run. */
export function lastLine(verdicts: readonly Verdict[]): string {
  return `${verdicts.length} figures, ${verdicts.filter(({ met }) => !met).length} fell short`;
}

function short(value: number): string {
  if (Math.abs(value) >= 100) return value.toFixed(0);
  return Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(3);
}

function pad(text: string, width: number, right: boolean): string {
  return right ? text.padStart(width) : text.padEnd(width);
}
