import { fork } from 'node:child_process';

import { TransientFailure } from '../attempts.ts';
import type { TokenReply, TokenRequest } from './messages.ts';

/** The built tree has .js files; a URL is not rewritten by the compiler. */
const ENTRY = new URL(`./token-process${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url);
/** ms that a process has to log out in. */
const LEAVE_MS = 1000;

/** A process with the vendor's library in it. */
export interface TokenChild {
  readonly pid: number | undefined;
  readonly ended: boolean;
  /**
   * One request at a time. Rejects with TransientFailure when the process ends over it, or has no answer after `ms`:
   * then it hangs, and is killed.
   */
  ask(request: TokenRequest, ms: number): Promise<TokenReply>;
  /** Logs out and ends; killed if it does not, or is at work. */
  end(): void;
}

/**
 * A process and no thread: a call that never returns cannot be ended in a thread, it would even keep this process from
 * ending, and a library that crashes would take the service with it.
 */
export function startChild(): TokenChild {
  // What the library prints goes nowhere: nobody knows what it would say. Vendors read their own environment.
  const child = fork(ENTRY, { serialization: 'advanced', execArgv: [], stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
  let ended = false;
  let waiting: { settle(reply: TokenReply): void; fail(why: string): void } | undefined;

  const over = (why: string) => {
    ended = true;
    waiting?.fail(why);
  };
  child.on('message', (reply: TokenReply) => waiting?.settle(reply));
  child.on('error', (error) => over('code' in error ? String(error.code) : error.name));
  child.on('exit', (code, signal) => over(`the process of the PKCS#11 module ended (${signal ?? code})`));

  function ask(request: TokenRequest, ms: number): Promise<TokenReply> {
    if (ended) return Promise.reject(new TransientFailure('the process of the PKCS#11 module has ended'));
    const { promise, resolve, reject } = Promise.withResolvers<TokenReply>();
    const timer = setTimeout(() => {
      waiting?.fail('the PKCS#11 module does not answer');
      child.kill('SIGKILL');
    }, ms);
    const done = () => {
      clearTimeout(timer);
      waiting = undefined;
    };
    waiting = {
      settle(reply) {
        done();
        resolve(reply);
      },
      fail(why) {
        done();
        reject(new TransientFailure(why));
      },
    };
    child.send(request, (error) => {
      if (error !== null) waiting?.fail('the process of the PKCS#11 module cannot be reached');
    });
    return promise;
  }

  function end(): void {
    if (ended) return;
    ended = true;
    if (waiting !== undefined) {
      waiting.fail('closed');
      child.kill('SIGKILL');
      return;
    }
    const timer = setTimeout(() => child.kill('SIGKILL'), LEAVE_MS);
    child.once('exit', () => clearTimeout(timer));
    if (child.connected) child.disconnect();
  }

  return {
    pid: child.pid,
    get ended() {
      return ended;
    },
    ask,
    end,
  };
}
