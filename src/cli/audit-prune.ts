import { availableParallelism } from 'node:os';

import { VerifyError } from '../audit/verify/errors.ts';
import { printable, toText } from '../audit/verify/report.ts';
import { verifyInThread } from '../audit/verify/verification-thread.ts';
import { isRefusal, openRemoval, type Prunable, type Removal } from '../retention/removal.ts';
import { StorageError } from '../storage/pg-errors.ts';
import { type Command, type CommandIo, EXIT, guarded, parseOptions } from './command.ts';
import { databaseUrlOf } from './database-url.ts';

/** Nothing is approved, a hold is in the way, or the chain cannot be verified: as `audit verify` says it. */
const INCOMPLETE = 2;
/** Events of a transaction, for the time of which nothing is appended to the chain. */
const STEP = 1000;
/** Findings printed of a chain that is not removed from. */
const TOLD = 5;

const USAGE = `Usage: castellan audit prune [--database-url <url>] [--chain <name>] [--dry-run] [--json]

Removes the events whose removal a signed audit.pruned event approves (POST …/audit/prunings), and nothing else. Each chain is
verified first, as \`castellan audit verify\` does it: from one with damage nothing is removed, since it is evidence. Events
that a policy version rests on stay. A chain under a legal hold is skipped, and the others are gone on with; the command then
ends with 2, also with --dry-run, or with 1 if another chain is damaged. Broken off, it is simply run again.

  --database-url <url>  default: DATABASE_URL or DATABASE_URL_FILE; a login that may become castellan_maintenance and
                        castellan_verifier, and no service's
  --chain <name>        only this workspace's chain (_system for what belongs to none)
  --dry-run             only say what would be removed
  --json                print { ok, dryRun, chains: [{ chain, to, events, removed, refused }] }
  -h, --help            show this

Exit codes: 0 all that is approved is removed (or was before), 1 a chain is damaged, 2 nothing is approved, a legal hold, or a
chain that cannot be verified, 3 cannot read or write, 64 usage.
`;

export const auditPruneCommand: Command = {
  name: 'audit prune',
  summary: 'remove old events as signed events approve it',
  run: (argv, io) => guarded(io, USAGE, () => auditPrune(argv, io)),
};

interface Outcome {
  readonly chain: string;
  readonly to: number;
  /** Approved and there when the command began. */
  readonly events: number;
  readonly removed: number;
  readonly refused: string | null;
  readonly code: number;
}

async function auditPrune(argv: readonly string[], io: CommandIo): Promise<number> {
  const { values } = parseOptions(argv, {
    'database-url': { type: 'string' },
    chain: { type: 'string' },
    'dry-run': { type: 'boolean' },
    json: { type: 'boolean' },
  });
  if (values.help === true) {
    io.stdout.write(USAGE);
    return EXIT.ok;
  }
  const { chain, json = false, 'dry-run': dryRun = false } = values;
  const databaseUrl = databaseUrlOf(values['database-url'], io.env);
  const removal = await opened(databaseUrl, io);
  if (removal === undefined) return INCOMPLETE;
  const outcomes: Outcome[] = [];
  try {
    for (const prunable of await removal.prunable()) {
      if (chain !== undefined && chain !== prunable.chain) continue;
      outcomes.push(await pruned(removal, prunable, { databaseUrl, dryRun }));
    }
  } finally {
    await removal.close();
  }
  print(outcomes, { json, dryRun }, io);
  if (outcomes.length > 0) return worst(outcomes);
  io.stderr.write(`castellan audit prune: no removal is approved${chain === undefined ? '' : ' for this chain'}\n`);
  return INCOMPLETE;
}

async function opened(databaseUrl: string, io: CommandIo): Promise<Removal | undefined> {
  try {
    return await openRemoval(databaseUrl);
  } catch (error) {
    if (!(error instanceof StorageError) || error.code !== 'LOGIN_REFUSED') throw error;
    io.stderr.write(`castellan audit prune: ${error.message}\n`);
    return undefined;
  }
}

async function pruned(
  removal: Removal,
  { chain, to, events, held }: Prunable,
  { databaseUrl, dryRun }: { databaseUrl: string; dryRun: boolean },
): Promise<Outcome> {
  const outcome = { chain, to, events, removed: 0, refused: null, code: EXIT.ok };
  if (held) return { ...outcome, refused: 'the chain is under a legal hold', code: INCOMPLETE };
  if (events === 0 || dryRun) return outcome;
  const damage = await damageOf(databaseUrl, chain);
  if (damage !== undefined) return { ...outcome, ...damage };
  let removed = 0;
  try {
    for (let step = STEP; step > 0; removed += step) step = await removal.step(chain, to, STEP);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return { ...outcome, removed, refused: error instanceof Error ? error.message : 'refused', code: INCOMPLETE };
  }
  return { ...outcome, removed };
}

/** Why nothing may be removed from the chain: what shows that it was tampered with must not go. */
async function damageOf(databaseUrl: string, chain: string): Promise<{ refused: string; code: number } | undefined> {
  const workers = Math.min(availableParallelism(), 8);
  const request = { databaseUrl, chain, from: 1, workers, exportPath: undefined, signersPath: undefined };
  try {
    const report = await verifyInThread(request, () => undefined);
    if (report.verdict === 'ok') return undefined;
    const told = toText(report, 1).slice(0, Math.min(report.findings.length, TOLD)).join('; ');
    return {
      refused: `verification says ${report.verdict}: ${told}`,
      code: report.verdict === 'tampered' ? EXIT.failed : INCOMPLETE,
    };
  } catch (error) {
    if (!(error instanceof VerifyError) || error.code === 'UNREADABLE') throw error;
    return { refused: error.message, code: INCOMPLETE };
  }
}

function worst(outcomes: readonly Outcome[]): number {
  const codes = outcomes.map(({ code }) => code);
  return codes.includes(EXIT.failed) ? EXIT.failed : Math.max(...codes);
}

function print(
  outcomes: readonly Outcome[],
  { json, dryRun }: { json: boolean; dryRun: boolean },
  io: CommandIo,
): void {
  if (json) {
    const chains = outcomes.map(({ code: _code, ...rest }) => rest);
    io.stdout.write(`${JSON.stringify({ ok: outcomes.every(({ code }) => code === EXIT.ok), dryRun, chains })}\n`);
    return;
  }
  for (const { chain, to, events, removed, refused } of outcomes) {
    const count = dryRun ? `${events} would be removed` : `${removed} removed`;
    const said = refused === null ? count : `${removed} removed, refused: ${refused}`;
    io.stdout.write(`${printable(`${chain}: up to seq ${to}, ${said}`)}\n`);
  }
}
