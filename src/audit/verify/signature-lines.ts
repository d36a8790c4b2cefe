import { stat } from 'node:fs/promises';

import { type BatchPlace, parsePlace } from './batch-place.ts';
import { VerifyError } from './errors.ts';
import { linesOf } from './lines.ts';

/** What `signatures.jsonl` has beside an entry of a chain's tree. */
export interface SignatureLine {
  readonly seq: number;
  readonly signature: string | null;
  readonly signerId: string | null;
  readonly signMode: string;
  readonly batch: BatchPlace | undefined;
}

export interface SignatureLines {
  /** The seq of the last line; 0 without any. */
  readonly last: number;
  /** The line of `seq`, asked for in ascending order; undefined when it is not there, or not in its order. */
  take(seq: number): Promise<SignatureLine | undefined>;
}

/** The signatures of one chain, read as they are asked for. Throws VerifyError UNREADABLE. */
export async function signaturesOf(path: string): Promise<SignatureLines> {
  const there = await stat(path).then(
    () => true,
    () => false,
  );
  if (!there) return { last: 0, take: () => Promise.resolve(undefined) };
  let last = 0;
  for await (const { seq } of parsedLines(path)) last = Math.max(last, seq);
  const lines = parsedLines(path);
  let next = await lines.next();

  async function take(seq: number): Promise<SignatureLine | undefined> {
    while (next.done !== true && next.value.seq < seq) next = await lines.next();
    return next.done !== true && next.value.seq === seq ? next.value : undefined;
  }
  return { last, take };
}

async function* parsedLines(path: string): AsyncGenerator<SignatureLine, undefined, undefined> {
  let number = 0;
  for await (const line of linesOf(path)) {
    number += 1;
    if (line.length > 0) yield parseLine(line.toString('utf8'), () => `line ${number} of ${path} is no signature`);
  }
  return undefined;
}

function parseLine(text: string, message: () => string): SignatureLine {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new VerifyError('UNREADABLE', message(), cause);
  }
  const members = new Map<string, unknown>(typeof value === 'object' && value !== null ? Object.entries(value) : []);
  const [seq, signMode] = [members.get('seq'), members.get('signMode')];
  const [signature, signerId] = [members.get('signature') ?? null, members.get('signerId') ?? null];
  if (typeof seq !== 'number' || !Number.isSafeInteger(seq) || typeof signMode !== 'string') {
    throw new VerifyError('UNREADABLE', message());
  }
  if ((signature !== null && typeof signature !== 'string') || (signerId !== null && typeof signerId !== 'string')) {
    throw new VerifyError('UNREADABLE', message());
  }
  return { seq, signature, signerId, signMode, batch: parsePlace(members.get('batch')) };
}
