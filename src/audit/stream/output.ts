import type { Writable } from 'node:stream';

import { type Destination, linesOf } from './destination.ts';
import { StreamError } from './errors.ts';

/** Lines on a stream of the process; delivered is what the stream has taken. */
export function outputDestination(stream: Writable): Destination {
  let lost: Error | undefined;
  // Every write tells of its own failure; without a listener a reader that is gone would end the process.
  stream.on('error', (error) => {
    lost = error;
  });
  return {
    deliver: (items) => {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const failed = (cause: Error) =>
        reject(new StreamError('UNDELIVERED', `the output is gone: ${cause.message}`, cause));
      if (lost !== undefined) failed(lost);
      else stream.write(linesOf(items), (error) => (error ? failed(error) : resolve()));
      return promise;
    },
  };
}
