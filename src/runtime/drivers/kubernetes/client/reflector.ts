import { setTimeout as wait } from 'node:timers/promises';
import type { Static, TSchema } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';

import type { Logger } from '../../../../logger.ts';
import type { ClusterClient } from './client.ts';
import { ClusterError, codeOfStatus, isClusterError } from './errors.ts';
import { linesOf } from './lines.ts';
import { listOf, Metadata, Status } from './resources.ts';

const PAGE = 500;
/** Seconds after which the server ends a watch, which then goes on where it was. */
const WATCH_SECONDS = 290;
const MAX_PAUSE_MS = 10_000;
/** ms; a watch that ends sooner has told nothing of how the server is, and is not made again without a pause. */
const SHORT_MS = 1000;
const SHORT_PAUSE_MS = 500;
/** Bytes of one event; an object in etcd has at most 1.5 MiB. */
const MAX_EVENT = 4_194_304;

interface Named {
  readonly metadata: Static<typeof Metadata>;
}

/** What the cluster has, kept up to date by a watch. */
export interface Reflector<T> {
  /** Resolves once it was listed. Rejects with the reason why it could not, or that of the signal. */
  ready(signal?: AbortSignal): Promise<void>;
  /** Throws ClusterError while the server cannot be watched, when what is known may be old. */
  items(): readonly T[];
  get(name: string): T | undefined;
  /** Resolves with what `find` finds, now or after a change. Rejects with the reason of the signal. */
  until<R>(find: (reflector: Reflector<T>) => R | undefined, signal: AbortSignal): Promise<R>;
  /** Resolves at the next change. Rejects with the reason of the signal. */
  changed(signal: AbortSignal): Promise<void>;
  close(): void;
}

/**
 * Lists, then watches from there with bookmarks; where the server has forgotten what came since (410), it lists again. Begins
 * at the first call of `ready`.
 */
export function createReflector<T extends TSchema>(
  schema: T,
  options: { client: ClusterClient; path: string; labelSelector: string; logger: Logger },
): Reflector<Static<T> & Named> {
  type Item = Static<T> & Named;
  const { client, path, labelSelector, logger } = options;
  const List = listOf(schema);
  const ending = new AbortController();
  const known = new Map<string, Item>();
  const listeners = new Set<() => void>();
  let hasBegun = false;
  /** Where a watch goes on; undefined: it has to be listed. */
  let version: string | undefined;
  /** Monotonic ms since when the server tells; undefined while it does not. */
  let toldSince: number | undefined;
  let trouble: ClusterError | undefined = new ClusterError('NO_ANSWER', `${path} was not listed yet`);
  let listed = Promise.withResolvers<void>();
  listed.promise.catch(() => undefined);

  function changed(): void {
    for (const listener of [...listeners]) listener();
  }

  async function list(): Promise<string> {
    const found: Item[] = [];
    let next: string | undefined;
    for (;;) {
      const query = { labelSelector, limit: PAGE, continue: next };
      const page: Static<typeof List> = await client.call(List, { method: 'GET', path, query, signal: ending.signal });
      found.push(...page.items.filter(isItem));
      next = page.metadata.continue;
      if (next !== undefined && next !== '') continue;
      known.clear();
      for (const item of found) known.set(item.metadata.name, item);
      trouble = undefined;
      listed.resolve();
      changed();
      return page.metadata.resourceVersion;
    }
  }

  /** Rejects with GONE, or with why it broke off; resolves when the server ended it. What it told holds in any case. */
  async function watch(from: string): Promise<void> {
    const query = {
      labelSelector,
      watch: true,
      allowWatchBookmarks: true,
      timeoutSeconds: WATCH_SECONDS,
      resourceVersion: from,
    };
    const stream = await client.stream({ method: 'GET', path, query, signal: ending.signal });
    toldSince = performance.now();
    for await (const line of linesOf(stream, MAX_EVENT)) {
      const { type, object } = eventOf(line);
      if (type === 'ERROR') throw failureOf(object);
      const metadata = metadataOf(object);
      if (!Value.Check(Metadata, metadata)) {
        if (type === 'BOOKMARK') version = bookmarkOf(object) ?? version;
        continue;
      }
      const { name, resourceVersion } = metadata;
      version = resourceVersion;
      if (type === 'BOOKMARK') continue;
      if (type !== 'DELETED' && isItem(object)) known.set(name, object);
      else known.delete(name);
      changed();
    }
  }

  async function run(): Promise<void> {
    for (let failures = 0; !ending.signal.aborted; ) {
      toldSince = undefined;
      try {
        version ??= await list();
        await watch(version);
        failures = 0;
        if (isShort()) await pause(SHORT_PAUSE_MS);
      } catch (error) {
        if (ending.signal.aborted) return;
        failures = isShort() ? failures + 1 : 1;
        // Forgotten, which is no failure: from the beginning. Broken off: once from where it was.
        if (!isClusterError(error, 'GONE') && (version === undefined || failures > 1)) fail(error);
        if (failures > 1 || !isClusterError(error, 'NO_ANSWER')) version = undefined;
        if (failures === 1) continue;
        logger.warn({ err: error, path, failures }, 'the cluster cannot be watched');
        await pause(Math.min(100 * 2 ** failures, MAX_PAUSE_MS));
      }
    }
  }

  function isShort(): boolean {
    return toldSince === undefined || performance.now() - toldSince < SHORT_MS;
  }

  async function pause(ms: number): Promise<void> {
    await wait(ms, undefined, { signal: ending.signal }).catch(() => undefined);
  }

  function fail(error: unknown): void {
    trouble = isClusterError(error)
      ? error
      : new ClusterError('NO_ANSWER', `${path} cannot be watched`, { cause: error });
    listed.reject(trouble);
    listed = Promise.withResolvers<void>();
    listed.promise.catch(() => undefined);
    changed();
  }

  function isItem(value: unknown): value is Item {
    return Value.Check(schema, value) && Value.Check(Metadata, metadataOf(value));
  }

  const reflector: Reflector<Item> = {
    ready: async (signal) => {
      if (!hasBegun) void run();
      hasBegun = true;
      if (trouble === undefined) return;
      await abortable(listed.promise, signal);
    },
    items: () => {
      if (trouble !== undefined) throw trouble;
      return [...known.values()];
    },
    get: (name) => known.get(name),
    until: (find, signal) => {
      const { promise, resolve, reject } = Promise.withResolvers<NonNullable<ReturnType<typeof find>>>();
      const look = () => {
        try {
          const found = find(reflector);
          if (found !== undefined && found !== null) resolve(found);
        } catch (error) {
          reject(error);
        }
      };
      listeners.add(look);
      look();
      return abortable(promise, signal).finally(() => listeners.delete(look));
    },
    changed: (signal) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      listeners.add(resolve);
      return abortable(promise, signal).finally(() => listeners.delete(resolve));
    },
    close: () => ending.abort(new ClusterError('NO_ANSWER', 'the driver is closed')),
  };
  return reflector;
}

function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  const { promise: either, resolve, reject } = Promise.withResolvers<T>();
  const onAbort = () => reject(signal.reason);
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort, { once: true });
  promise.then(resolve, reject);
  return either.finally(() => signal.removeEventListener('abort', onAbort));
}

function eventOf(line: string): { readonly type: string; readonly object: unknown } {
  const value: unknown = parsed(line);
  if (isRecord(value) && typeof value['type'] === 'string') return { type: value['type'], object: value['object'] };
  throw new ClusterError('NO_ANSWER', 'a watch with a line that is no event');
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new ClusterError('NO_ANSWER', 'a watch with a line that is no JSON', { cause });
  }
}

function failureOf(object: unknown): ClusterError {
  if (!Value.Check(Status, object)) return new ClusterError('NO_ANSWER', 'the watch failed');
  const code = object.code === undefined ? 'NO_ANSWER' : codeOfStatus(object.code);
  return new ClusterError(code, object.message ?? 'the watch failed', { reason: object.reason });
}

/** A bookmark has nothing but its version. */
function bookmarkOf(object: unknown): string | undefined {
  const metadata = metadataOf(object);
  const version = isRecord(metadata) ? metadata['resourceVersion'] : undefined;
  return typeof version === 'string' ? version : undefined;
}

function metadataOf(object: unknown): unknown {
  return isRecord(object) ? object['metadata'] : undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
