import { type SecretScan, scanForSecrets } from '../secrets/scan.ts';
import { type Command, type CommandIo, EXIT, guarded, parseOptions, UsageError } from './command.ts';

const USAGE = `Usage: castellan secrets scan <directory|file>... [--json]

Finds private keys and credentials that do not belong into a repository: PEM, DER and PKCS#12 keys, private JWKs, AWS,
GitHub, GitLab, Slack, npm, Google and other tokens, URLs with a password, and generated values assigned to a name such as
password. In a git tree it looks at what git would commit, elsewhere at every file; links are not followed.

A finding is file:line: kind (fingerprint), never the secret. What is there on purpose goes into
.castellan-secrets-allow, one per line: a path pattern (* ? **), the fingerprint and why. An entry that nothing matches
any more is a finding too.

  --json      { ok, files, findings, allowed, skipped, unreadable }
  -h, --help  show this

Exit codes: 0 nothing found, 1 findings, 3 something cannot be read, 64 usage.
`;

export const secretsScanCommand: Command = {
  name: 'secrets scan',
  summary: 'find private keys and credentials committed by mistake',
  run: (argv, io) => guarded(io, USAGE, () => scanSecrets(argv, io)),
};

async function scanSecrets(argv: readonly string[], io: CommandIo): Promise<number> {
  const { values, positionals } = parseOptions(argv, { json: { type: 'boolean' } }, Number.MAX_SAFE_INTEGER);
  if (values.help === true) {
    io.stdout.write(USAGE);
    return EXIT.ok;
  }
  if (positionals.length === 0) throw new UsageError('secrets scan needs a directory or a file');
  const scan = await scanForSecrets(positionals, io.env);
  if (values.json === true) io.stdout.write(`${toJson(scan)}\n`);
  else for (const line of findingLines(scan)) io.stdout.write(`${line}\n`);
  for (const line of remarks(scan)) io.stderr.write(`${line}\n`);
  if (scan.findings.length > 0) return EXIT.failed;
  return scan.unreadable.length > 0 ? EXIT.io : EXIT.ok;
}

function toJson({ files, findings, allowed, skipped, unreadable }: SecretScan): string {
  const ok = findings.length === 0 && unreadable.length === 0;
  return JSON.stringify({ ok, files, findings, allowed, skipped, unreadable });
}

function findingLines({ findings }: SecretScan): string[] {
  return findings.map(({ file, line, kind, fingerprint }) => {
    const mark = fingerprint === undefined ? '' : ` (${fingerprint})`;
    return `${shown(file)}:${line}: ${kind}${mark}`;
  });
}

function remarks({ files, findings, allowed, skipped, unreadable, notices }: SecretScan): string[] {
  return [
    ...notices.map(shown),
    ...skipped.map(({ file, reason }) => `${shown(file)}: not looked through: ${reason}`),
    ...unreadable.map(({ file, reason }) => `${shown(file)}: cannot be read: ${reason}`),
    `${files} files, ${findings.length} findings, ${allowed} allowed`,
  ];
}

/** A file's name may hold what a terminal obeys. */
function shown(text: string): string {
  return text.replaceAll(/\p{Cc}|\p{Cf}/gu, '?');
}
