import { type Session, voidRoutine } from '../storage/session.ts';
import type { SealedEvent } from './event.ts';

const KEEP = voidRoutine('audit_keep_personal', 6);

/** Keeps what people wrote in these events, in one statement that nobody awaits; none where nobody wrote anything. */
export function keepPersonal(session: Session, events: readonly SealedEvent[]): void {
  const rows = events.flatMap(({ chain, seq, actor, personal }) =>
    personal.map(({ member, value, salt }) => ({ chain, seq, member, value, salt, actorId: actor.id })),
  );
  if (rows.length === 0) return;
  const kept = session.call(KEEP, [
    rows.map((row) => row.chain),
    rows.map((row) => row.seq),
    rows.map((row) => row.member),
    rows.map((row) => row.value),
    rows.map((row) => row.salt),
    rows.map((row) => row.actorId),
  ]);
  // The session hears of a failure, and takes everything back.
  kept.catch(() => undefined);
}
