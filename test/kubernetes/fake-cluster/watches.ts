import type { ServerResponse } from 'node:http';

import { selectorOf } from './objects.ts';
import type { Target } from './routes.ts';
import { type Change, Refusal, type Store } from './store.ts';

export interface Watches {
  serve(target: Target, response: ServerResponse): void;
  /** Tells every watch that asked for it the current version. */
  bookmark(): void;
  /** Ends every watch with 410 inside, as when what it goes on from was compacted. */
  expire(): void;
  /** Ends every watch without a word. */
  end(): void;
  readonly count: number;
  close(): void;
}

/** Watches as lines of JSON. A version that is forgotten is 410, for every other time in the status and in the stream. */
export function createWatches(store: Store): Watches {
  const open = new Set<{ readonly response: ServerResponse; readonly bookmarks: boolean; readonly stop: () => void }>();
  let gone = 0;

  function line(response: ServerResponse, type: string, object: object): void {
    response.write(`${JSON.stringify({ type, object })}\n`);
  }

  const expired = {
    kind: 'Status',
    apiVersion: 'v1',
    status: 'Failure',
    message: 'too old resource version',
    reason: 'Expired',
    code: 410,
  };

  function endAll(last?: (response: ServerResponse) => void): void {
    for (const watch of [...open]) {
      last?.(watch.response);
      watch.response.end();
      watch.stop();
    }
  }

  return {
    serve: ({ plural, query }, response) => {
      const from = Number(query.get('resourceVersion'));
      const missed = store.since(plural, from);
      if (missed === undefined) {
        gone += 1;
        if (gone % 2 === 0) throw new Refusal(410, 'Expired', 'too old resource version');
        response.writeHead(200, { 'content-type': 'application/json' });
        line(response, 'ERROR', expired);
        response.end();
        return;
      }
      const matches = selectorOf(query.get('labelSelector'));
      const tell = ({ type, object, plural: of }: Change) => {
        if (of === plural && matches(object)) line(response, type, object);
      };
      response.writeHead(200, { 'content-type': 'application/json' });
      response.flushHeaders();
      for (const change of missed) tell(change);
      const leave = store.onChange(tell);
      const watch = {
        response,
        bookmarks: query.get('allowWatchBookmarks') === 'true',
        stop: () => {
          leave();
          open.delete(watch);
        },
      };
      open.add(watch);
      response.on('close', watch.stop);
    },
    bookmark: () => {
      for (const { response, bookmarks } of open) {
        if (bookmarks) line(response, 'BOOKMARK', { metadata: { resourceVersion: String(store.version) } });
      }
    },
    expire: () => endAll((response) => line(response, 'ERROR', expired)),
    end: () => endAll(),
    get count() {
      return open.size;
    },
    close: () => endAll(),
  };
}
