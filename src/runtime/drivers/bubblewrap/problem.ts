const MAX_CHARS = 300;

/** What a tool of the chain has said of why it failed, fit to be shown: one line, without paths of this machine. */
export function setupProblem(stderr: string): string {
  const line = stderr.split('\n').find((text) => text.trim() !== '') ?? 'it ended before the command began';
  return line
    .replaceAll(/\/[^\s:'"]+/g, '<path>')
    .trim()
    .slice(0, MAX_CHARS);
}
