/**
 * Whether the path matches: `*` and `?` within a name, `**` for any number of names, dot files like any other (Node's own
 * matchesGlob leaves them out, and its time depends on the pattern).
 */
export function matchesGlob(path: string, glob: string): boolean {
  const [names, patterns] = [path.split('/'), glob.split('/')];
  return wildcard(names.length, patterns, '**', (at, pattern) => wildcardName(names[at] ?? '', pattern));
}

function wildcardName(name: string, pattern: string): boolean {
  const characters = [...name];
  return wildcard(characters.length, [...pattern], '*', (at, one) => one === '?' || one === characters[at]);
}

/** The greedy match with one step back to the last star: no more than length × patterns comparisons. */
function wildcard(
  length: number,
  patterns: readonly string[],
  star: string,
  fits: (at: number, pattern: string) => boolean,
): boolean {
  let [at, pattern, starAt, resumeAt] = [0, 0, -1, 0];
  while (at < length) {
    const one = patterns[pattern];
    if (one === star) {
      starAt = pattern;
      resumeAt = at;
      pattern += 1;
    } else if (one !== undefined && fits(at, one)) {
      at += 1;
      pattern += 1;
    } else if (starAt >= 0) {
      resumeAt += 1;
      at = resumeAt;
      pattern = starAt + 1;
    } else return false;
  }
  return patterns.slice(pattern).every((one) => one === star);
}
