import type { Anchor } from './anchors.ts';
import { VerifyError } from './errors.ts';
import { LogCheck, type LogContext } from './log-check.ts';
import type { LogSource, StoredNote } from './log-source.ts';

/**
 * Reads the log of checkpoints from its first entry to its last and compares it with its own notes and with those from outside
 * (`anchors`). Throws VerifyError CHECKPOINT for a checkpoint from outside that is of another log.
 */
export async function readLog(source: LogSource, anchors: readonly Anchor[], context: LogContext): Promise<LogCheck> {
  const check = new LogCheck(context);
  const notes = bySize(source.notes(), anchors);
  let next = await notes.next();
  const judge = async () => {
    if (next.done === true) return;
    if ('path' in next.value) check.anchor(next.value);
    else check.stored(next.value);
    next = await notes.next();
  };
  for await (const page of source.entries()) {
    for (const entry of page) {
      while (next.done !== true && next.value.size <= check.size) await judge();
      check.entry(entry);
    }
  }
  while (next.done !== true) await judge();
  check.finish();
  const { origin } = check;
  for (const anchor of anchors) {
    if (anchor.keyed || origin === undefined || anchor.origin === origin) continue;
    throw new VerifyError('CHECKPOINT', `the checkpoint ${anchor.path} is of the log ${anchor.origin}, not ${origin}`);
  }
  return check;
}

/** Stored notes and anchors, ascending by size. */
async function* bySize(
  stored: AsyncIterable<StoredNote>,
  anchors: readonly Anchor[],
): AsyncGenerator<StoredNote | Anchor, void, undefined> {
  const waiting = anchors.toSorted((a, b) => a.size - b.size);
  for await (const note of stored) {
    while ((waiting[0]?.size ?? Number.POSITIVE_INFINITY) < note.size) yield* waiting.splice(0, 1);
    yield note;
  }
  yield* waiting;
}
