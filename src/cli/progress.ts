import type { Writable } from 'node:stream';

const WIDTH = 30;
/** ms between two drawings. */
const INTERVAL = 200;

export interface Progress {
  update(events: number, fraction: number): void;
  end(): void;
}

/** A bar with rate and remaining time on a terminal; nothing at all where the stream is none. */
export function startProgress(stream: Writable & { readonly isTTY?: boolean }, now: () => number): Progress {
  if (stream.isTTY !== true) return { update: () => undefined, end: () => undefined };
  const started = now();
  let drawn = started;
  let visible = false;

  function update(events: number, fraction: number): void {
    const time = now();
    if (time - drawn < INTERVAL) return;
    drawn = time;
    visible = true;
    const seconds = (time - started) / 1000;
    const left = fraction > 0 ? `${duration(Math.ceil((seconds * (1 - fraction)) / fraction))} left` : '';
    const bar = '#'.repeat(Math.round(fraction * WIDTH)).padEnd(WIDTH, '.');
    stream.write(`\r[${bar}] ${events} events, ${Math.round(events / seconds)}/s ${left}\u001b[K`);
  }

  function end(): void {
    if (visible) stream.write('\r\u001b[K');
  }

  return { update, end };
}

/** Two units are exact enough for a guess. */
function duration(seconds: number): string {
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${seconds % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
