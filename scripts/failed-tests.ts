// What failed in a TAP report: one entry for each failed assertion or test without failed parts, with its diagnostics.

/** The innermost failures of a TAP 14 report, each as `file > test > assertion` with the lines of its diagnostic block. */
export function failedTests(report: string): string[] {
  const failures: string[] = [];
  const open: string[] = [];
  const failedBelow: boolean[] = [];
  const lines = report.split('\n');
  for (const [i, line] of lines.entries()) {
    const text = line.trimStart();
    const depth = Math.floor((line.length - text.length) / 4);
    if (text.startsWith('# Subtest: ')) {
      open.length = depth;
      open.push(text.slice('# Subtest: '.length));
      failedBelow[depth + 1] = false;
    }
    const name = /^not ok \d+ - (?<name>.*)$/.exec(text)?.groups?.['name'];
    if (name === undefined || / # (?:skip|todo)\b/i.test(name)) continue;
    const alreadyTold = failedBelow[depth + 1] === true;
    failedBelow[depth] = true;
    failedBelow[depth + 1] = false;
    if (alreadyTold) continue;
    failures.push([[...open.slice(0, depth), name].join(' > '), ...diagnostics(lines, i + 1)].join('\n'));
  }
  return failures;
}

function diagnostics(lines: readonly string[], from: number): string[] {
  if (lines[from]?.trim() !== '---') return [];
  const end = lines.findIndex((line, i) => i > from && line.trim() === '...');
  return lines.slice(from + 1, end === -1 ? undefined : end).slice(0, 40);
}
