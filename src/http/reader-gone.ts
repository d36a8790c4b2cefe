import type { FastifyReply } from 'fastify';

/**
 * Fires when nobody reads the answer any more, at once when that is so already: who went away while the answer was being
 * prepared is not told of again. `then` is called once.
 */
export function readerGone({ raw }: Pick<FastifyReply, 'raw'>, then: () => void): AbortSignal {
  const controller = new AbortController();
  const gone = () => {
    then();
    controller.abort(new Error('nobody reads any more'));
  };
  if (raw.destroyed) gone();
  else raw.once('close', gone);
  return controller.signal;
}
