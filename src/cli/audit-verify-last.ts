import { VerifyError } from '../audit/verify/errors.ts';
import { type LastEvent, readLastEvent } from '../audit/verify/last-event.ts';
import { printable } from '../audit/verify/report.ts';
import { systemClock, timestamp } from '../clock.ts';
import { type AuditKeyHolder, readAuditKeyHolder } from '../config/audit-key.ts';
import { SignerError } from '../crypto/signer.ts';
import { KeyError } from '../crypto/verify.ts';
import { regionOfKeyArn } from '../signers/drivers/kms/key-arn.ts';
import { askHolder, type HolderVerdict } from './audit-key-holder.ts';
import { type Command, type CommandIo, EXIT, guarded, parseOptions, UsageError } from './command.ts';
import { databaseUrlOf } from './database-url.ts';

/** Nothing signed, or nobody who could verify it: as `audit verify` says it. */
const INCOMPLETE = 2;
const CHAIN = /^(?:_system|[a-z0-9][a-z0-9-]{0,62})$/;

const USAGE = `Usage: castellan audit verify-last [--chain <name>] [--database-url <url>] [--kms-key <arn>] [--json]

Takes the newest signed event of a chain, checks it, and has its signature verified by whoever holds the audit key: the KMS
(AUDIT_SIGNING_KEY_SOURCE=kms), the token of an HSM (pkcs11), else this program with the key in the registry. Prints one page
of evidence that says which. It is one event: \`castellan audit verify\` verifies all.

  --chain <name>        a workspace's chain (default: _system)
  --database-url <url>  default: DATABASE_URL or DATABASE_URL_FILE; a login as for \`audit verify\`
  --kms-key <arn>       have it verified by this key of AWS KMS, whatever the settings say
  --json                print the page as JSON

The KMS is found as by \`serve\`: CASTELLAN_KMS_ENDPOINT, CASTELLAN_KMS_CA_FILE, credentials of the AWS SDK. The role needs
kms:DescribeKey, kms:GetPublicKey and kms:Verify.

Exit codes: 0 good, 1 not as it was signed, 2 nothing signed yet, or no evidence (the holder's key is not the registry's),
3 the database or the holder of the key cannot be asked, 64 usage.
`;

export const auditVerifyLastCommand: Command = {
  name: 'audit verify-last',
  summary: 'have the newest signed event verified by the holder of the audit key',
  run: (argv, io) => guarded(io, USAGE, () => verifyLast(argv, io)),
};

/** The page. `result`: good, bad (with problems), or why it is no evidence. */
interface Evidence {
  readonly ok: boolean;
  readonly chain: string;
  readonly seq: number;
  readonly id: string;
  readonly eventType: string;
  readonly ts: string;
  readonly hash: string;
  readonly signMode: string;
  readonly signerId: string | null;
  readonly alg: string | null;
  readonly verifiedBy: HolderVerdict['by'];
  readonly key: string | null;
  readonly result: string;
  readonly problems: readonly string[];
  readonly checkedAt: string;
}

async function verifyLast(argv: readonly string[], io: CommandIo): Promise<number> {
  const { values } = parseOptions(argv, {
    'database-url': { type: 'string' },
    chain: { type: 'string', default: '_system' },
    'kms-key': { type: 'string' },
    json: { type: 'boolean' },
  });
  if (values.help === true) {
    io.stdout.write(USAGE);
    return EXIT.ok;
  }
  if (!CHAIN.test(values.chain)) throw new UsageError('--chain is no workspace id');
  const holder = holderOf(io.env, values['kms-key']);
  const databaseUrl = databaseUrlOf(values['database-url'], io.env);
  try {
    const last = await readLastEvent(databaseUrl, values.chain);
    if (last === undefined) {
      io.stderr.write(`castellan: there is no signed event on chain ${values.chain} yet\n`);
      return INCOMPLETE;
    }
    const { evidence, code } = await judge(last, holder);
    io.stdout.write(values.json === true ? `${JSON.stringify(evidence)}\n` : page(evidence));
    return code;
  } catch (error) {
    if (error instanceof VerifyError && error.code !== 'UNREADABLE') {
      io.stderr.write(`castellan audit verify-last: ${printable(error.message)}\n`);
      return INCOMPLETE;
    }
    if (!(error instanceof VerifyError || error instanceof SignerError || error instanceof KeyError)) throw error;
    io.stderr.write(`castellan audit verify-last: ${printable(error.message)}\n`);
    return EXIT.io;
  }
}

function holderOf(env: CommandIo['env'], kmsKey: string | undefined): AuditKeyHolder {
  const holder = readAuditKeyHolder(env, kmsKey);
  if (!('source' in holder)) throw new UsageError(`who holds the audit key is not clear:\n${holder.join('\n')}`);
  try {
    if (holder.source === 'kms') regionOfKeyArn(holder.keyArn);
    return holder;
  } catch (error) {
    throw error instanceof KeyError ? new UsageError(error.message) : error;
  }
}

async function judge(last: LastEvent, holder: AuditKeyHolder): Promise<{ evidence: Evidence; code: number }> {
  const { signed, signer, problems, unverifiable } = last;
  const publicKey = signer?.publicKey;
  // Where the event itself is wrong, or no key could tell, there is nothing to ask.
  if (problems.length > 0) return { evidence: evidenceOf(last, REGISTRY, 'bad', problems), code: EXIT.failed };
  if (unverifiable !== undefined || signed === undefined || typeof publicKey !== 'string') {
    return { evidence: evidenceOf(last, REGISTRY, `no evidence: ${unverifiable ?? 'no key'}`, []), code: INCOMPLETE };
  }
  const said = await askHolder(holder, signed, publicKey);
  if (said.verdict === 'valid') return { evidence: evidenceOf(last, said, 'good', []), code: EXIT.ok };
  if (said.verdict === 'invalid') {
    const problem = 'the holder of the key says that it has not made this signature';
    return { evidence: evidenceOf(last, said, 'bad', [problem]), code: EXIT.failed };
  }
  const why = `no evidence: the key of ${signer?.signerId} in the registry is not this key`;
  return { evidence: evidenceOf(last, said, why, []), code: INCOMPLETE };
}

const REGISTRY = { by: 'registry', key: null } as const;

function evidenceOf(
  { row, signer }: LastEvent,
  { by, key }: Pick<HolderVerdict, 'by' | 'key'>,
  result: string,
  problems: readonly string[],
): Evidence {
  return {
    ok: result === 'good',
    chain: row.chain,
    seq: row.seq,
    id: row.id,
    eventType: row.eventType,
    ts: row.ts,
    hash: row.hash,
    signMode: row.signMode,
    signerId: row.signerId,
    alg: signer?.alg ?? null,
    verifiedBy: by,
    key,
    result,
    problems,
    checkedAt: timestamp(systemClock()),
  };
}

const VERIFIERS: Readonly<Record<HolderVerdict['by'], string>> = {
  kms: 'AWS KMS, which holds the key, and this program with the key in the registry',
  token: 'the HSM, which holds the key, and this program with the key in the registry',
  registry: 'this program alone, with the key in the registry',
};

function page(evidence: Evidence): string {
  const rows: [string, string][] = [
    ['chain', `${evidence.chain}, seq ${evidence.seq}`],
    ['event', `${evidence.eventType} ${evidence.id}`],
    ['written', evidence.ts],
    ['hash', evidence.hash],
    ['signer', `${evidence.signerId} (${evidence.alg ?? 'not in the registry'}), mode ${evidence.signMode}`],
    ['verified by', VERIFIERS[evidence.verifiedBy]],
    ...(evidence.key === null ? [] : [['key', evidence.key] satisfies [string, string]]),
    ['result', [evidence.result, ...evidence.problems].join('\n             ')],
    ['checked', evidence.checkedAt],
  ];
  return rows.map(([name, value]) => `${name.padEnd(12)} ${value.split('\n').map(printable).join('\n')}\n`).join('');
}
