import { Socket } from 'node:net';

/**
 * A socket that sends the statements of one turn of the event loop together: each is corked by itself, and a system call
 * for each would cost both ends as much as the statement. With TLS it does nothing, as that writes past it.
 */
export class TickSocket extends Socket {
  #due = false;

  override uncork(): void {
    if (this.#due) {
      super.uncork();
      return;
    }
    // Stays corked until then.
    this.#due = true;
    process.nextTick(() => {
      this.#due = false;
      super.uncork();
    });
  }
}
