import { availableParallelism } from 'node:os';

import type { VerificationRequest } from '../audit/verify/verification.ts';
import { type NoteKeyType, parseVerifierKey } from '../transparency/note-key.ts';
import { type CommandIo, parseOptions, UsageError } from './command.ts';
import { databaseUrlOf } from './database-url.ts';

/** More threads than this leave the one that reads behind. */
const MAX_WORKERS = 8;
const CHAIN = /^(?:_system|[a-z0-9][a-z0-9-]{0,62})$/;

export interface VerifyRequest extends VerificationRequest {
  readonly json: boolean;
}

/** What the arguments ask for; throws UsageError for what cannot be asked. */
export function parseVerifyRequest(argv: readonly string[], env: CommandIo['env']): VerifyRequest | 'help' {
  const { values } = parseOptions(argv, {
    'database-url': { type: 'string' },
    export: { type: 'string' },
    tiles: { type: 'string' },
    signers: { type: 'string' },
    log: { type: 'string' },
    checkpoint: { type: 'string', multiple: true },
    'checkpoint-key': { type: 'string', multiple: true },
    'witness-key': { type: 'string', multiple: true },
    state: { type: 'string' },
    chain: { type: 'string' },
    from: { type: 'string' },
    json: { type: 'boolean' },
  });
  if (values.help === true) return 'help';
  const { export: exportPath, tiles: tilesPath, signers: signersPath, log: logPath, state: statePath, chain } = values;
  const { checkpoint: paths = [] } = values;
  const [checkpointKeys, witnessKeys] = [values['checkpoint-key'] ?? [], values['witness-key'] ?? []];
  requireKeys('--checkpoint-key', checkpointKeys, 'ed25519');
  requireKeys('--witness-key', witnessKeys, 'cosignature/v1');
  const offline = exportPath ?? tilesPath;
  const sources = [exportPath, tilesPath, values['database-url']].filter((source) => source !== undefined);
  refuse(sources.length > 1, '--database-url, --export and --tiles exclude each other');
  refuse(chain !== undefined && !CHAIN.test(chain), '--chain is no workspace id');
  refuse(exportPath !== undefined && signersPath === undefined, '--export needs --signers');
  refuse(
    exportPath !== undefined && paths.length > 0 && logPath === undefined,
    '--checkpoint with --export needs --log',
  );
  refuse(paths.length === 0 && checkpointKeys.length + witnessKeys.length > 0, 'a key without --checkpoint');
  refuse(values.from !== undefined && statePath !== undefined, '--from and --state exclude each other');
  // Without the events before it no tree can be computed.
  refuse(values.from !== undefined && paths.length > 0, '--from and --checkpoint exclude each other');
  return {
    // Never the environment's database for what lies in files: it is verified without a network.
    databaseUrl: offline === undefined ? databaseUrlOf(values['database-url'], env) : undefined,
    exportPath,
    tilesPath,
    signersPath,
    logPath,
    checkpoints: { paths, checkpointKeys, witnessKeys },
    statePath,
    chain,
    from: values.from === undefined ? 1 : positive(values.from),
    workers: Math.min(availableParallelism(), MAX_WORKERS),
    json: values.json === true,
  };
}

function refuse(wrong: boolean, message: string): void {
  if (wrong) throw new UsageError(message);
}

function requireKeys(option: string, keys: readonly string[], type: NoteKeyType): void {
  for (const key of keys) {
    try {
      if (parseVerifierKey(key).type === type) continue;
    } catch {
      // said below
    }
    throw new UsageError(`${option} is no verifier key of type ${type} (name+hash+key)`);
  }
}

function positive(text: string): number {
  const value = /^[1-9]\d{0,15}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value)) throw new UsageError('--from is not a positive whole number');
  return value;
}
