import { setTimeout } from 'node:timers/promises';

import { type Contents, digestOf, readFiles } from './files.ts';
import type { Ending, Loaded, WatchedSource } from './watched.ts';

/** Ms in which contents must stay as they are to count: who writes several files, or a long one, is let finish. */
const SETTLE_MS = 50;

/** A source whose contents changed, and are in force now. */
export interface Switched {
  readonly source: string;
  readonly loaded: Loaded;
}

/** A source whose contents changed and cannot be used; what was in force still is. Told once for the same contents. */
export interface Refusal {
  readonly source: string;
  /** Absent: they could not be read. */
  readonly digest?: string;
  readonly problems: readonly string[];
}

export interface Round {
  readonly switched: readonly Switched[];
  readonly refused: readonly Refusal[];
}

export interface Watcher {
  /** Loads every source for the first time; one that cannot be used is among `refused`, and nothing of it is in force. */
  load(): Promise<Round>;
  /** One look at every source. Never beside itself. */
  look(): Promise<Round>;
  /** What is in force and ends by itself. */
  endings(): readonly Ending[];
}

type Seen = { readonly digest: string; readonly contents: Contents } | { readonly unreadable: string };

interface State {
  readonly source: WatchedSource;
  /** Digest of the contents in force. */
  inForce: string | undefined;
  /** Contents that were refused at the last look. */
  refused: string | undefined;
  told: boolean;
}

interface Found {
  readonly state: State;
  readonly seen: Seen;
}

interface Attempt {
  readonly switched: readonly Switched[];
  readonly refused: readonly (Refusal & { readonly isNew: boolean })[];
}

/** Watches files by what is in them: times and sizes of files lie, and a mounted secret is a link that moves. */
export function createWatcher(
  sources: readonly WatchedSource[],
  settle: () => Promise<unknown> = () => setTimeout(SETTLE_MS),
): Watcher {
  const states = sources.map((source): State => ({ source, inForce: undefined, refused: undefined, told: false }));

  async function look(): Promise<Round> {
    const changed = (await see(states)).filter(isNews);
    if (changed.length === 0) return { switched: [], refused: [] };
    await settle();
    const settled = await see(changed.map(({ state }) => state));
    const round = await attempt(settled.filter(({ seen }, index) => keyOf(seen) === keyOf(changed[index]?.seen)));
    // A writer may have been between two files: what is wrong is told when it still is at the next look.
    return { ...round, refused: round.refused.filter(({ isNew }) => isNew) };
  }

  return {
    load: async () => attempt(await see(states)),
    look,
    endings: () => sources.flatMap((source) => source.endings?.() ?? []),
  };
}

function see(states: readonly State[]): Promise<Found[]> {
  return Promise.all(states.map(async (state) => ({ state, seen: await contentsOf(state.source) })));
}

async function contentsOf({ paths }: WatchedSource): Promise<Seen> {
  try {
    const contents = await readFiles(paths);
    return { digest: digestOf(contents), contents };
  } catch (error) {
    return { unreadable: error instanceof Error ? error.message : 'a file cannot be read' };
  }
}

function isNews({ state, seen }: Found): boolean {
  if (keyOf(seen) !== state.inForce) return true;
  state.refused = undefined;
  return false;
}

function keyOf(seen: Seen | undefined): string | undefined {
  if (seen === undefined) return undefined;
  return 'digest' in seen ? seen.digest : seen.unreadable;
}

/** Loads first and switches then, so that sources that changed together are never in force one without the other. */
async function attempt(found: readonly Found[]): Promise<Attempt> {
  const outcomes = await Promise.all(found.map(async (one) => ({ ...one, outcome: await tryLoad(one) })));
  const switched: Switched[] = [];
  const refused: Attempt['refused'][number][] = [];
  for (const { state, seen, outcome } of outcomes) {
    if ('problems' in outcome) refused.push({ ...outcome, isNew: isSecondSight(state, keyOf(seen)) });
    else {
      outcome.loaded.apply();
      Object.assign(state, { inForce: keyOf(seen), refused: undefined });
      switched.push(outcome);
    }
  }
  return { switched, refused };
}

async function tryLoad({ state: { source }, seen }: Found): Promise<Switched | Refusal> {
  if ('unreadable' in seen) return { source: source.name, problems: [seen.unreadable] };
  try {
    return { source: source.name, loaded: await source.load(seen.contents) };
  } catch (error) {
    return { source: source.name, digest: seen.digest, problems: problemsOf(error) };
  }
}

/** True once for the same refused contents: at the second look at them. */
function isSecondSight(state: State, key: string | undefined): boolean {
  if (state.refused !== key) {
    Object.assign(state, { refused: key, told: false });
    return false;
  }
  const isNew = !state.told;
  state.told = true;
  return isNew;
}

/** Every one of them, from an error that has a list. */
function problemsOf(error: unknown): readonly string[] {
  if (!(error instanceof Error)) return ['it cannot be used'];
  if ('problems' in error && Array.isArray(error.problems)) return error.problems.map(String);
  return [error.message];
}
