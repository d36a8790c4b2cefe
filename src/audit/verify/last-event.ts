import { openDatabaseSource } from './database-source.ts';
import { checkEvent, type EventFacts } from './event-check.ts';
import type { Registry, SignerEntry } from './registry.ts';
import type { AuditRow, EventSource, Head } from './row.ts';
import { createSignatureJudge } from './signature.ts';
import { candidatesOf } from './signed-message.ts';
import { rangeProblem } from './signer-range.ts';

/** Events that are read from the end of a chain at first, one page in memory; four times as many while none is signed. */
const FIRST_WINDOW = 64;

/** The newest signed event of a chain with everything that somebody else needs to verify its signature. */
export interface LastEvent {
  readonly row: AuditRow;
  /** The bytes that were signed, and the signature over them. Undefined when the row gives none. */
  readonly signed: { readonly message: Buffer; readonly signature: Buffer } | undefined;
  /** The registry's entry of its signer. */
  readonly signer: SignerEntry | undefined;
  /** What is wrong, in sentences; none when the event is as it was signed, by a signer who was allowed to. */
  readonly problems: readonly string[];
  /** Why the registry's key cannot decide; undefined when it has. */
  readonly unverifiable: string | undefined;
}

/**
 * The newest signed event of a chain, checked by itself: body, hash, columns, its place at the head, its signature by the
 * registry's key. Undefined without one. Throws VerifyError when it cannot be read. It says nothing of the events before.
 */
export async function readLastEvent(databaseUrl: string, chain: string): Promise<LastEvent | undefined> {
  const source = await openDatabaseSource({ databaseUrl, chain });
  try {
    const head = (await source.head(chain)) ?? undefined;
    const tail = await readTail(source, chain, head);
    if (tail.signed === undefined) return undefined;
    return lastEvent(tail.signed.row, await source.registry(), placeProblems(tail.newest, tail.signed, head));
  } finally {
    await source.close();
  }
}

/** What is kept of the end of a chain, however many unsigned events it has. */
interface Tail {
  readonly newest: AuditRow | undefined;
  /** The newest with a signature, and how many rows stand at its seq. */
  readonly signed: { readonly row: AuditRow; readonly copies: number } | undefined;
}

/** The end of the chain, back to a signed event if there is one. */
export async function readTail(
  source: Pick<EventSource, 'pages'>,
  chain: string,
  head: Pick<Head, 'seq'> | undefined,
): Promise<Tail> {
  for (let window = FIRST_WINDOW; ; window *= 4) {
    const first = Math.max(1, (head?.seq ?? 0) - window + 1);
    const tail = await tailFrom(source, chain, first);
    if (first === 1 || tail.signed !== undefined) return tail;
  }
}

async function tailFrom(source: Pick<EventSource, 'pages'>, chain: string, first: number): Promise<Tail> {
  let newest: AuditRow | undefined;
  let signed: { row: AuditRow; copies: number } | undefined;
  let copies = 0;
  for await (const { rows } of source.pages(new Map([[chain, { seq: first }]]))) {
    for (const row of rows) {
      copies = row.seq === newest?.seq ? copies + 1 : 1;
      newest = row;
      if (row.signature !== null) signed = { row, copies };
      else if (row.seq === signed?.row.seq) signed.copies = copies;
    }
  }
  return { newest, signed };
}

function lastEvent(row: AuditRow, registry: Registry, place: readonly string[]): LastEvent {
  const facts = checkEvent(row);
  const { task, body } = facts;
  const signer = task === undefined ? undefined : registry.get(task.signerId);
  const verdict = task === undefined ? undefined : createSignatureJudge([...registry.values()])(task);
  const message = task === undefined ? undefined : candidatesOf(task)[0]?.message;
  const range = signer === undefined || typeof body === 'string' ? undefined : rangeProblem(signer, body, undefined);
  return {
    row,
    signed:
      task === undefined || message === undefined
        ? undefined
        : { message, signature: Buffer.from(task.signature, 'base64') },
    signer,
    problems: [
      ...place,
      ...rowProblems(row, facts),
      ...[verdict?.problem?.detail, range?.detail].filter((detail) => detail !== undefined),
    ],
    unverifiable: verdict?.unverifiable,
  };
}

function placeProblems(
  newest: AuditRow | undefined,
  { row, copies }: NonNullable<Tail['signed']>,
  head: Head | undefined,
): string[] {
  const problems: string[] = [];
  if (newest?.seq !== head?.seq || newest?.hash !== head?.hash) {
    problems.push(`the head row is not at the newest event, which is seq ${newest?.seq}`);
  }
  if (copies > 1) problems.push(`there are two events at seq ${row.seq}`);
  return problems;
}

function rowProblems(row: AuditRow, { body, bodyHash, hash, edited, task }: EventFacts): string[] {
  if (typeof body === 'string') return [body];
  const problems: string[] = [];
  if (bodyHash !== hash) problems.push('the hash is not that of the body');
  if (body.chain !== row.chain || body.seq !== row.seq) problems.push('the body is of another chain or seq');
  if (edited.length > 0) problems.push(`columns that differ from the body: ${edited.join(', ')}`);
  if (task === undefined) problems.push('there is no signature, or nobody it could be of');
  return problems;
}
