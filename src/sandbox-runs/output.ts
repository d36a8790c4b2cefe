import { StringDecoder } from 'node:string_decoder';

import type { Stream } from '../runtime/isolation.ts';
import type { CommandView } from './schema.ts';

/** Bytes of events that are kept of one run for those who come late or read slowly. */
const MAX_KEPT = 524_288;
/** Bytes of one stream that are shown in one window; a flood shows its beginning. */
const WINDOW_BYTES = 16_384;
const WINDOW_MS = 50;

export interface OutputEvent {
  /** Number of the command, and of the event within it: `0.0` its start, `0.end` its result; `end`: of the run. */
  readonly id: string;
  readonly name: 'command' | 'stdout' | 'stderr' | 'result' | 'end';
  /** One line of JSON. */
  readonly data: string;
}

interface Window {
  readonly decoder: StringDecoder;
  text: string;
  bytes: number;
  skipped: number;
}

/** What a run shows while it is under way. The newest events are kept, whether anybody reads them or not. */
export class RunOutput {
  readonly #events: OutputEvent[] = [];
  readonly #listeners = new Set<() => void>();
  /** Events that were kept once. */
  #dropped = 0;
  #bytes = 0;
  #index = -1;
  #count = 0;
  #windows: Record<Stream, Window> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;

  /** Positions of the oldest event that is kept, and of the next one to come. */
  get first(): number {
    return this.#dropped;
  }

  get next(): number {
    return this.#dropped + this.#events.length;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  at(position: number): OutputEvent | undefined {
    return this.#events[position - this.#dropped];
  }

  /** The position after the event of this id; that of the oldest where it is not kept. */
  after(id: string): number {
    const at = this.#events.findIndex((event) => event.id === id);
    return at === -1 ? this.#dropped : this.#dropped + at + 1;
  }

  begin(index: number, command: string): void {
    this.#index = index;
    this.#count = 0;
    this.#windows = { stdout: newWindow(), stderr: newWindow() };
    this.#push({ id: `${index}.0`, name: 'command', data: JSON.stringify({ index, command }) });
  }

  write(stream: Stream, chunk: Buffer): void {
    const window = this.#windows?.[stream];
    if (window === undefined) return;
    const room = WINDOW_BYTES - window.bytes;
    const shown = room >= chunk.length ? chunk : chunk.subarray(0, Math.max(0, room));
    window.text += window.decoder.write(shown);
    window.bytes += shown.length;
    window.skipped += chunk.length - shown.length;
    this.#timer ??= setTimeout(() => this.#flush(), WINDOW_MS).unref();
  }

  result(index: number, view: CommandView): void {
    this.#flush();
    this.#windows = undefined;
    this.#push({ id: `${index}.end`, name: 'result', data: resultData(index, view) });
  }

  end(data: string): void {
    this.#flush();
    this.#isOver = true;
    this.#push({ id: 'end', name: 'end', data });
  }

  /** Told when there is more; the answer ends that. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const name of ['stdout', 'stderr'] as const) {
      const window = this.#windows?.[name];
      if (window === undefined || (window.text === '' && window.skipped === 0)) continue;
      const skipped = window.skipped === 0 ? {} : { skipped: window.skipped };
      const data = JSON.stringify({ index: this.#index, text: window.text, ...skipped });
      window.text = '';
      window.bytes = 0;
      window.skipped = 0;
      this.#count += 1;
      this.#push({ id: `${this.#index}.${this.#count}`, name, data });
    }
  }

  #push(event: OutputEvent): void {
    this.#events.push(event);
    this.#bytes += event.data.length;
    while (this.#bytes > MAX_KEPT && this.#events.length > 1) {
      this.#bytes -= this.#events.shift()?.data.length ?? 0;
      this.#dropped += 1;
    }
    for (const listener of this.#listeners) listener();
  }
}

/** The same events of a run that has ended, from what is kept of it. */
export function storedEvents(commands: readonly CommandView[], end: string): OutputEvent[] {
  const events = commands.flatMap((view, index): OutputEvent[] => [
    { id: `${index}.0`, name: 'command', data: JSON.stringify({ index, command: view.command }) },
    ...(['stdout', 'stderr'] as const).flatMap((name, at): OutputEvent[] =>
      view[name] === '' ? [] : [{ id: `${index}.${at + 1}`, name, data: JSON.stringify({ index, text: view[name] }) }],
    ),
    { id: `${index}.end`, name: 'result', data: resultData(index, view) },
  ]);
  return [...events, { id: 'end', name: 'end', data: end }];
}

/** The events after one that somebody has had, while the run was under way or later: what it had of a command it has. */
export function eventsAfter(events: readonly OutputEvent[], id: string): readonly OutputEvent[] {
  if (id === 'end') return [];
  const [, index, place] = /^(\d{1,4})\.(\d{1,9}|end)$/.exec(id) ?? [];
  if (index === undefined) return events;
  const from = place === '0' ? `${index}.0` : place === 'end' ? `${index}.end` : undefined;
  const at =
    from === undefined
      ? events.findIndex((event) => event.id === `${index}.end`) - 1
      : events.findIndex((event) => event.id === from);
  return at < 0 ? events : events.slice(at + 1);
}

function newWindow(): Window {
  return { decoder: new StringDecoder('utf8'), text: '', bytes: 0, skipped: 0 };
}

/** Without the output, which has events of its own. */
function resultData(index: number, { command: _command, stdout: _stdout, stderr: _stderr, ...view }: CommandView) {
  return JSON.stringify({ index, ...view });
}
