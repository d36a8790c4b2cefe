import { parseArgs } from 'node:util';

export interface BenchOptions {
  /** Names of phases; empty: all. */
  readonly only: readonly string[];
  /** Seconds that one measured section of a round lasts. */
  readonly seconds: number;
  /** How often a baseline and its figure are measured in turn. */
  readonly rounds: number;
  /** The sizes of the goals (10 k governed agents, 60 s of overload), which take long to prepare. */
  readonly full: boolean;
  /** Exit 1 when a figure falls short of its threshold. */
  readonly check: boolean;
  readonly json: boolean;
  /** Directory for CPU profiles of the service, one per measured section. */
  readonly profile: string | undefined;
}

export const USAGE = `Usage: npm run bench -- [options]

  --only a,b      only these phases
  --seconds n     length of one measured section (default 2)
  --rounds n      rounds of baseline and figure in turn (default 5)
  --full          the full sizes: 10 k governed agents, 60 s of overload
  --check         exit 1 when a figure falls short of bench/thresholds.json
  --json          print the JSON instead of the tables
  --profile dir   write a CPU profile of the service for each measured section
`;

/** Throws for an option that does not exist or cannot be read. */
export function readOptions(argv: readonly string[]): BenchOptions | 'help' {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      only: { type: 'string' },
      seconds: { type: 'string', default: '2' },
      rounds: { type: 'string', default: '5' },
      full: { type: 'boolean', default: false },
      check: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      profile: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return 'help';
  return {
    only: (values.only ?? '').split(',').filter((name) => name !== ''),
    seconds: positive('--seconds', values.seconds),
    rounds: positive('--rounds', values.rounds),
    full: values.full,
    check: values.check,
    json: values.json,
    profile: values.profile,
  };
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!(value > 0) || !Number.isFinite(value)) throw new Error(`${name} must be a positive number`);
  return value;
}
