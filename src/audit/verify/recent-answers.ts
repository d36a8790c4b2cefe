/** Answers kept; with questions of 300 characters 12 MiB at most. */
const MAX_KEPT = 32_768;

/** Answers to questions that are likely to be asked again soon, the newest ones. */
export class RecentAnswers {
  readonly #answers = new Map<string, boolean>();

  of(question: string, find: () => boolean): boolean {
    const known = this.#answers.get(question);
    const answer = known ?? find();
    if (known !== undefined) this.#answers.delete(question);
    else if (this.#answers.size >= MAX_KEPT) this.#forgetOldest();
    this.#answers.set(question, answer);
    return answer;
  }

  #forgetOldest(): void {
    const { value } = this.#answers.keys().next();
    if (value !== undefined) this.#answers.delete(value);
  }
}
