import type { EventClaims } from './event-check.ts';

type Claims = Pick<EventClaims, 'covers' | 'switches'>;

/**
 * The mode that the signed events of one chain are in. It changes with a signed event that says so, itself in the new mode; a
 * cover of unsigned events may stand right before that, since nothing may come between those and their cover.
 */
export class SigningModes {
  /** undefined: not known, so that the next event tells. */
  #mode: string | undefined = 'event';
  /** A cover in another mode, which a switch has to follow. */
  #cover: { readonly seq: number; readonly mode: string } | undefined;

  /** Something before the next event is missing, or is not what was written: a switch may have been there. */
  lost(): void {
    this.#mode = undefined;
    this.#cover = undefined;
  }

  /** Whether this can be the mode that the head says the newest signed event is in. */
  fits(mode: string): boolean {
    return this.#mode === undefined || this.#cover !== undefined || mode === this.#mode;
  }

  /** The next signed event. Gives the seq of one whose mode no event switched to: this one, or the cover before it. */
  signed(seq: number, mode: string, { covers, switches }: Claims): number | undefined {
    const cover = this.#cover;
    const before = this.#mode;
    this.#cover = undefined;
    if (switches !== undefined) {
      this.#mode = mode;
      const fits = switches.to === mode && switches.from !== mode && (before ?? switches.from) === switches.from;
      return fits ? undefined : seq;
    }
    if (covers !== undefined) {
      if (before !== undefined && before !== mode) this.#cover = { seq, mode };
      return cover?.seq;
    }
    this.#mode = mode;
    if (cover !== undefined) return cover.seq;
    return before === undefined || before === mode ? undefined : seq;
  }
}
